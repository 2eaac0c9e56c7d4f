//! hostdyno.
