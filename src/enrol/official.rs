//! Giving a membership to an installed official harvester: the five files it needs, and no CA key.
