//! Topic names and topic filters: validity and matching.
