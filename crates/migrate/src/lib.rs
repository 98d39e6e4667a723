//! A ready-made migration program that keeps the container contract: plain SQL files.
