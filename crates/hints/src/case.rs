//! One operation before its judges: where its table stands, and the words that all rules share.

use dbop_model::dependent::Relation;
use dbop_model::finding::{Evidence, Finding, HintPolicy, Verdict};
use dbop_model::operation::{Algorithm, Operation, Reading};
use dbop_model::table::{
    ColumnName, NamedKind, Settings, TableFacts, TableFactsSet, TableName, TableState, Understood,
};
use dbop_model::trial::Trial;
use dbop_model::{Engine, Fact, ServerInfo, Why};

use crate::effect::Prediction;
use crate::sql::Dialect;
use crate::steps::{Standing, Step};

/// One operation before its judges.
pub(crate) struct Case<'a> {
    pub(crate) server: &'a ServerInfo,
    pub(crate) policy: &'a HintPolicy,
    pub(crate) step: Step<'a>,
    pub(crate) standing: Standing,
    /// What its statement does to its table.
    pub(crate) prediction: Prediction,
    facts: &'a TableFactsSet,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        server: &'a ServerInfo,
        step: Step<'a>,
        facts: &'a TableFactsSet,
        policy: &'a HintPolicy,
    ) -> Self {
        let standing = step.standing(facts);
        Self {
            server,
            policy,
            step,
            standing,
            prediction: Prediction::none(),
            facts,
        }
    }

    /// The same with the table as the migration itself defines it, where it creates the table and says all of it.
    pub(crate) fn as_defined(&self) -> Option<Case<'a>> {
        if !matches!(self.standing, Standing::New) {
            return None;
        }
        let facts = self.step.defined(self.server.engine)?;
        Some(Case {
            server: self.server,
            policy: self.policy,
            step: self.step.clone(),
            standing: Standing::Present(Box::new(facts)),
            prediction: Prediction::none(),
            facts: self.facts,
        })
    }

    /// A column of a table that the operation creates, as if it were added to a table of all the others.
    pub(crate) fn of_column<'b>(
        &'b self,
        added: &'b Operation,
        name: &ColumnName,
    ) -> Option<Case<'b>> {
        let facts = self.step.defining(self.server.engine, name)?;
        Some(Case {
            server: self.server,
            policy: self.policy,
            step: self.step.with_operation(added),
            standing: Standing::Present(Box::new(facts)),
            prediction: Prediction::none(),
            facts: self.facts,
        })
    }

    /// What the server made of a text of the statement, where it was asked.
    pub(crate) fn understood(&self, reading: &Reading) -> Option<&'a Fact<Understood>> {
        self.facts.readings.get(reading)
    }

    pub(crate) fn table(&self) -> &'a TableName {
        self.step.operation.table()
    }

    /// Is this case about the same table as another?
    pub(crate) fn place_is(&self, other: &Case<'_>) -> bool {
        self.step.is_same_table(&other.step)
    }

    /// The table, where it is in the database.
    pub(crate) fn present(&self) -> Option<&TableFacts> {
        match &self.standing {
            Standing::Present(facts) => Some(facts),
            Standing::New | Standing::Missing | Standing::Unknown(_) => None,
        }
    }

    /// A table by its name in today's catalogue, where it was seen.
    pub(crate) fn facts_of(&self, table: &TableName) -> Option<&'a TableFacts> {
        match self.facts.tables.get(table) {
            Some(Fact::Known(TableState::Present(facts))) => Some(facts),
            _ => None,
        }
    }

    /// Is the table known to have no row?
    pub(crate) fn is_empty(&self) -> bool {
        self.present()
            .is_some_and(|facts| facts.any_row.is_known_and(|any| !any))
    }

    /// What came of trying its statement on a copy of the table, where that was done.
    pub(crate) fn trial(&self) -> Option<&'a Fact<Trial>> {
        self.facts.trials.get(&self.step.at)
    }

    /// The evidence that a copy of the table gives, where it was asked.
    pub(crate) fn seen_on_copy(&self) -> Option<Evidence> {
        let value = match self.trial()?.known()? {
            Trial::Refused { code, message } => format!("{message} ({code})"),
            Trial::Done { .. } => self.prediction.effect.known()?.to_string(),
        };
        let seen = || self.seen(value, "the server, of an empty copy of the table");
        self.prediction.tried.then(seen)
    }

    /// Settings of the server, as a migration's session has them at its beginning.
    pub(crate) fn settings(&self) -> &'a Fact<Settings> {
        &self.facts.settings
    }

    /// Does the server refuse values that do not fit, when it comes to this statement?
    pub(crate) fn strict(&self) -> Fact<bool> {
        let set = &self.step.statement.session.strict;
        self.set_or(set, |settings| settings.strict)
    }

    /// Does the server take 0000-00-00 for a date, when it comes to this statement?
    pub(crate) fn zero_dates(&self) -> Fact<bool> {
        let set = &self.step.statement.session.zero_dates;
        self.set_or(set, |settings| settings.zero_dates)
    }

    /// Does the server take another engine for one that it lacks, when it comes to this statement?
    pub(crate) fn substitutes_engine(&self) -> Fact<bool> {
        let set = &self.step.statement.session.substitutes_engine;
        self.set_or(set, |settings| settings.substitutes_engine)
    }

    /// Are foreign keys checked, when it comes to this statement?
    pub(crate) fn foreign_key_checks(&self) -> Fact<bool> {
        let set = &self.step.statement.session.foreign_key_checks;
        self.set_or(set, |settings| settings.foreign_key_checks)
    }

    /// The algorithm that this statement gets where it asks for none.
    pub(crate) fn algorithm(&self) -> Fact<Option<Algorithm>> {
        let set = &self.step.statement.session.algorithm;
        self.set_or(set, |settings| settings.algorithm)
    }

    /// What the file sets goes before what the server has.
    fn set_or<T: Clone>(&self, set: &Option<Fact<T>>, of: impl Fn(&Settings) -> T) -> Fact<T> {
        match (set, &self.facts.settings) {
            (Some(set), _) => set.clone(),
            (None, Fact::Known(settings)) => Fact::Known(of(settings)),
            (None, Fact::Unknown(why)) => Fact::Unknown(why.clone()),
        }
    }

    /// Whom an index looked up by its own name belongs to.
    pub(crate) fn table_of_index(&self, name: &TableName) -> Option<&'a Fact<Option<TableName>>> {
        self.facts.indexes.get(name)
    }

    /// What bears a name, where that was looked up.
    pub(crate) fn relations(&self, name: &TableName) -> Option<&'a Fact<Vec<Relation>>> {
        self.facts.relations.get(name)
    }

    /// Of which table something is whose name is its database's: where that was looked up, and can be said.
    pub(crate) fn named(&self, kind: NamedKind, name: &TableName) -> Option<&'a Option<TableName>> {
        self.facts.named.get(&(kind, name.clone()))?.known()
    }

    /// Does the statement give a column this name, wherever in it that stands? Its operations happen at once.
    pub(crate) fn gives(&self, name: &ColumnName) -> bool {
        let mut operations = self.step.statement.operations.iter();
        operations.any(|operation| match operation {
            Operation::AddColumn { columns, .. } => columns.iter().any(|one| one.name == *name),
            Operation::RenameColumn { to, .. } => to == name,
            _ => false,
        })
    }

    /// Does the statement take this name away from a column, wherever in it that stands?
    pub(crate) fn frees(&self, name: &ColumnName) -> bool {
        let mut operations = self.step.statement.operations.iter();
        operations.any(|operation| match operation {
            Operation::DropColumn { columns, .. } => columns.contains(name),
            Operation::RenameColumn { from, .. } => from == name,
            _ => false,
        })
    }

    /// Is it known that no table bears a name in today's catalogue?
    pub(crate) fn is_missing(&self, table: &TableName) -> bool {
        self.facts
            .table(table)
            .is_known_and(|state| *state == TableState::Missing)
    }

    /// How names are written in this server's statements.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.server.engine {
            Engine::PostgreSql => Dialect::PostgreSql,
            Engine::MySql | Engine::MariaDb => Dialect::MySql,
        }
    }

    /// Is a table of this name in today's catalogue?
    pub(crate) fn is_present(&self, table: &TableName) -> bool {
        self.facts
            .table(table)
            .is_known_and(|state| *state != TableState::Missing)
    }

    /// A finding with nothing but a verdict and its claim.
    pub(crate) fn finding(&self, rule: &str, verdict: Verdict, claim: String) -> Finding {
        Finding {
            rule: rule.to_owned(),
            verdict,
            operation: self.step.operation.to_string(),
            table: self.table().clone(),
            claim,
            evidence: Vec::new(),
            effect: None,
            advice: Vec::new(),
            accepted: None,
        }
    }

    /// A finding about a table of which it cannot be seen whether it is there.
    pub(crate) fn unseen(&self, rule: &str, why: &Why) -> Finding {
        let claim = format!("{} cannot be looked at: {why}", self.table());
        self.finding(rule, unknown(why), claim)
    }

    /// Something that was seen, as evidence.
    pub(crate) fn seen(&self, value: impl Into<String>, source: impl Into<String>) -> Evidence {
        Evidence {
            value: value.into(),
            source: source.into(),
            taken_at: self.facts.taken_at,
        }
    }

    /// The evidence that a table has no row at all.
    pub(crate) fn seen_empty(&self) -> Evidence {
        self.seen("no row", "a probe for any row")
    }
}

/// The verdict for a fact that could not be had.
pub(crate) fn unknown(why: &Why) -> Verdict {
    Verdict::Unknown {
        looking_again_helps: why.is_passing(),
    }
}
