//! One file a command.

pub mod allow;
pub mod announce;
pub mod backtest;
pub mod ca;
pub mod check_config;
pub mod decisions;
pub mod doctor;
pub mod engine;
pub mod explain;
pub mod fit;
pub mod inspect;
pub mod measure;
pub mod policy;
pub mod redteam;
pub mod replay;
pub mod score;
pub mod up;
