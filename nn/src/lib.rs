//! Networks on dfdx: layers, kernels, losses, optimisers and checkpoints of sndpipe.
