//! Pipeline files, plans, keys and the scheduler of sndpipe.
