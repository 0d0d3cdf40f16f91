//! Training, scoring, evaluation and tables on small made-up features, stage by stage through the registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod consistency;
mod embed;
mod evaluate;
mod init;
mod missing;
mod neighbours;
mod noisy;
mod plot;
mod predict;
mod pretrain;
mod recovery;
mod resume;
mod same_class;
mod score;
mod table;
mod train;
mod transfer;
mod tsne;
mod views;
mod watch;
mod waveform;
mod wiring;
