//! What MySQL and MariaDB alone refuse: indexes over parts that they cannot hold, AUTO_INCREMENT without a key, what a
//! foreign key asks of both its ends, names of their own kinds, places among columns, and partitions.

mod columns;
mod foreign_keys;
mod indexes;
mod names;
mod partitions;
#[cfg(test)]
mod tests;

pub(super) use columns::{every_column_goes, order_is_missing, place_is_missing};
pub(super) use foreign_keys::{
    foreign_key_does_not_fit, foreign_key_holds_a_type, foreign_key_holds_letters,
    foreign_key_holds_the_engine, foreign_key_needs_an_index, foreign_key_sets_null,
};
pub(super) use indexes::{
    index_name_is_taken, indexed_column_grows, key_is_virtual, numbering, part_does_not_fit,
};
pub(super) use names::{
    index_is_renamed_or_hidden, is_of_another_kind, name_of_the_database_is_taken,
    named_trigger_is_missing, primary_key_is_missing, wants_named, wants_replaced,
};
pub(super) use partitions::{
    partitioned_table_cannot_have, partitions_do_not_fit, wants_partitions,
};
