//! Chat datasets: reading, checking, figures, and the view that methods get.
