//! cert-manager
