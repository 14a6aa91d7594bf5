//! The policy decision engine of sts: claims and a request in, a decision with its whole trace out.
