//! Edit.
