"""The learner, training, run folders, pictures and the command line."""
