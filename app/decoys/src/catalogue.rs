//! The list of services: one line each.
