//! Tests of wholes: the architecture itself, the program from outside, the farm over loopback.

mod layers;
