//! The device's side: what is on its disk, what it does next, and how it talks to the authority.

pub mod bundles; // models, policies and trust files: fetched, checked, put in force
pub mod calls; // the device's calls, sealed, until somebody has scored them
pub mod channel; // how the agent reaches the authority
pub mod drive; // gathers facts, asks for the next step, carries it out
pub mod storage; // the file operations the store is made of, with their durability
pub mod store; // two slots and a pointer, and the order of every write
