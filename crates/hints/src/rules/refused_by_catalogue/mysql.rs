//! What MySQL and MariaDB alone refuse: indexes over parts that they cannot hold, AUTO_INCREMENT without a key, and what
//! a foreign key asks of both its ends.

mod foreign_keys;
mod indexes;
#[cfg(test)]
mod tests;

pub(super) use foreign_keys::{
    foreign_key_does_not_fit, foreign_key_holds_a_type, foreign_key_needs_an_index,
};
pub(super) use indexes::{index_name_is_taken, indexed_column_grows, numbering, part_does_not_fit};
