python eval_sim/eval_rdt_libero.py --benchmark libero_90 --exec_horizon 64 --num_cameras 1
