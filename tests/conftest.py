"""Settings that must be there before NumPy is imported."""

import os
import platform

# Worker processes fix the BLAS kernels, so that results do not depend on the processor; what they
# made is repeated here bit for bit only with the same kernels.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
