"""What a training run leaves on the disk to go on from, and how none of it is ever damaged."""
