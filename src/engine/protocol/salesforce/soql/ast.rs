//! The syntax tree of a SOQL query. Keeps every name as the caller spelt it.

use std::sync::Arc;

/// Half-open byte range in the query text. Equal to every other span: two trees are equal when they say the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

/// Room for the number that resolving gives a node. Equal to every other slot, like [`Span`].
#[derive(Debug, Clone, Copy)]
pub struct Slot(pub u32);

impl Default for Slot {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl PartialEq for Slot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Slot {}

/// `SELECT … FROM …`, at the top, as a child query, or as the right side of a semi-join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The select list; never empty.
    pub select: Vec<Item>,
    /// The object (or child relationship) queried.
    pub from: Source,
    /// `FROM Contact c, c.Account a`: further names for parent relationships.
    pub joins: Vec<Source>,
    /// `USING SCOPE mine`.
    pub using_scope: Option<Arc<str>>,
    /// `WHERE`.
    pub filter: Option<Condition>,
    /// `WITH`.
    pub with: Option<With>,
    /// `GROUP BY`.
    pub group: Option<Group>,
    /// `HAVING`.
    pub having: Option<Condition>,
    /// `ORDER BY`.
    pub order: Vec<Order>,
    /// `LIMIT`.
    pub limit: Option<u64>,
    /// `OFFSET`.
    pub offset: Option<u64>,
    /// `FOR VIEW`, `FOR REFERENCE`, `FOR UPDATE`.
    pub locks: Vec<ForClause>,
    /// `UPDATE TRACKING`, `UPDATE VIEWSTAT`.
    pub updates: Vec<UpdateClause>,
    /// `ALL ROWS`.
    pub all_rows: bool,
    /// Where it stands.
    pub span: Span,
    /// Number of its select list, given by resolving.
    pub slot: Slot,
}

impl Query {
    /// `SELECT … FROM object` without clauses.
    pub fn plain(object: Arc<str>, select: Vec<Item>) -> Self {
        Self {
            select,
            from: Source {
                path: Path::of(vec![object]),
                alias: None,
            },
            joins: Vec::new(),
            using_scope: None,
            filter: None,
            with: None,
            group: None,
            having: None,
            order: Vec::new(),
            limit: None,
            offset: None,
            locks: Vec::new(),
            updates: Vec::new(),
            all_rows: false,
            span: Span::default(),
            slot: Slot::default(),
        }
    }
}

/// One entry of FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `Contact`, or `Account.Contacts` in a child query, or `c.Account` in a further alias.
    pub path: Path,
    /// Its alias.
    pub alias: Option<Arc<str>>,
}

/// One item of a select list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What is selected.
    pub kind: ItemKind,
    /// Its alias.
    pub alias: Option<Arc<str>>,
    /// Where it stands.
    pub span: Span,
}

/// What an item selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A field path or a function of one.
    Expr(Expr),
    /// `(SELECT … FROM Contacts)`.
    Children(Box<Query>),
    /// `TYPEOF What WHEN Account THEN Phone ELSE Name END`.
    TypeOf(TypeOf),
    /// `FIELDS(ALL)`.
    Fields(FieldsOf),
}

/// The argument of `FIELDS()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldsOf {
    /// Every field.
    All,
    /// Fields whose name does not end in `__c`.
    Standard,
    /// Fields whose name ends in `__c`.
    Custom,
}

/// `TYPEOF`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeOf {
    /// The polymorphic relationship.
    pub relationship: Path,
    /// Object → its fields; never empty.
    pub cases: Vec<(Arc<str>, Vec<Path>)>,
    /// `ELSE`; empty = none.
    pub otherwise: Vec<Path>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// A field.
    Path(Path),
    /// A function.
    Call(Call),
}

/// Dotted names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Never empty.
    pub segments: Vec<Arc<str>>,
    /// Where it stands.
    pub span: Span,
    /// Number of its binding, given by resolving.
    pub slot: Slot,
}

impl Path {
    /// A path that stands nowhere in the caller's text; `segments`: never empty.
    pub fn of(segments: Vec<Arc<str>>) -> Self {
        Self {
            segments,
            span: Span::default(),
            slot: Slot::default(),
        }
    }

    /// The path as the caller wrote it, without white space.
    pub fn text(&self) -> Arc<str> {
        match &*self.segments {
            [only] => only.clone(),
            segments => segments.join(".").into(),
        }
    }

    /// The last name.
    pub fn leaf(&self) -> &Arc<str> {
        &self.segments[self.segments.len() - 1]
    }
}

/// `FUNCTION(arguments)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub function: Function,
    /// Its arguments; only `COUNT()` has none.
    pub arguments: Vec<Argument>,
    /// Where it stands.
    pub span: Span,
}

impl Call {
    /// The paths inside it, nested functions included.
    pub fn paths_mut(&mut self) -> Vec<&mut Path> {
        let mut paths = Vec::new();
        for argument in &mut self.arguments {
            match argument {
                Argument::Expr(Expr::Path(p)) => paths.push(p),
                Argument::Expr(Expr::Call(c)) => paths.extend(c.paths_mut()),
                Argument::Value(_) | Argument::Geolocation(..) => {}
            }
        }
        paths
    }

    /// The aggregate function in a chain of calls, and whether it is applied to a path (or to nothing) directly.
    pub fn aggregate(&self) -> Option<(Function, bool)> {
        let inner = self.arguments.first();
        if self.function.is_aggregate() {
            let direct = matches!(inner, Some(Argument::Expr(Expr::Path(_))) | None);
            return Some((self.function, direct));
        }
        match inner {
            Some(Argument::Expr(Expr::Call(c))) => c.aggregate(),
            _ => None,
        }
    }
}

/// One argument of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A field or a nested function.
    Expr(Expr),
    /// A literal (`'km'`).
    Value(Value),
    /// `GEOLOCATION(48.1, 11.5)`.
    Geolocation(Value, Value),
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The functions of SOQL.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Function {
            $($(#[$doc])* $name,)*
        }

        impl Function {
            /// All functions with their spelling.
            pub const ALL: &'static [(&'static str, Function)] = &[$(($text, Function::$name),)*];
        }
    };
}

functions! {
    /// Rows, or rows with a value.
    Count = "COUNT",
    /// Different values.
    CountDistinct = "COUNT_DISTINCT",
    /// Sum.
    Sum = "SUM",
    /// Average.
    Avg = "AVG",
    /// Smallest value.
    Min = "MIN",
    /// Largest value.
    Max = "MAX",
    /// Whether a row is a subtotal.
    Grouping = "GROUPING",
    /// The value as text in the user's locale.
    Format = "FORMAT",
    /// The value's translated label.
    ToLabel = "toLabel",
    /// The amount in the user's currency.
    ConvertCurrency = "convertCurrency",
    /// The time in the user's zone.
    ConvertTimezone = "convertTimezone",
    /// Distance between two places.
    Distance = "DISTANCE",
    /// Month of the year.
    CalendarMonth = "CALENDAR_MONTH",
    /// Quarter of the year.
    CalendarQuarter = "CALENDAR_QUARTER",
    /// Year.
    CalendarYear = "CALENDAR_YEAR",
    /// Day of the month.
    DayInMonth = "DAY_IN_MONTH",
    /// Day of the week.
    DayInWeek = "DAY_IN_WEEK",
    /// Day of the year.
    DayInYear = "DAY_IN_YEAR",
    /// The date of a time.
    DayOnly = "DAY_ONLY",
    /// Month of the fiscal year.
    FiscalMonth = "FISCAL_MONTH",
    /// Quarter of the fiscal year.
    FiscalQuarter = "FISCAL_QUARTER",
    /// Fiscal year.
    FiscalYear = "FISCAL_YEAR",
    /// Hour.
    HourInDay = "HOUR_IN_DAY",
    /// Week of the month.
    WeekInMonth = "WEEK_IN_MONTH",
    /// Week of the year.
    WeekInYear = "WEEK_IN_YEAR",
}

impl Function {
    /// The function that `name` calls (case-insensitive).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(t, _)| t.eq_ignore_ascii_case(name))
            .map(|(_, f)| *f)
    }

    /// Its usual spelling.
    pub fn text(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, f)| *f == self)
            .map_or("", |(t, _)| t)
    }

    /// Whether it turns many rows into one value.
    pub fn is_aggregate(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::CountDistinct
                | Self::Sum
                | Self::Avg
                | Self::Min
                | Self::Max
                | Self::Grouping
        )
    }

    /// Whether it only changes how its argument looks, so that the answer's key stays the field's own.
    pub fn is_presentation(self) -> bool {
        matches!(self, Self::Format | Self::ToLabel | Self::ConvertCurrency)
    }
}

/// A condition. `AND` and `OR` have at least two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// Does not hold.
    Not(Box<Condition>),
    /// A comparison.
    Compare(Compare),
}

/// `left operator right`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// A field or a function of one.
    pub left: Expr,
    /// How.
    pub operator: Operator,
    /// With what.
    pub right: Operand,
    /// Where it stands.
    pub span: Span,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `LIKE`
    Like,
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
    /// `INCLUDES`
    Includes,
    /// `EXCLUDES`
    Excludes,
}

impl Operator {
    /// Its spelling.
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Like => "LIKE",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::Includes => "INCLUDES",
            Self::Excludes => "EXCLUDES",
        }
    }
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// One literal.
    Value(Value),
    /// A list; never empty.
    List(Vec<Value>),
    /// A semi-join.
    Query(Box<Query>),
}

/// A literal. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Text, decoded.
    Text(String),
    /// Text after LIKE, decoded but for `\\`, `\%` and `\_`, which stand as written.
    Pattern(String),
    /// A number, date, time, currency amount or date literal (`LAST_N_DAYS:30`): checked text.
    Word(Box<str>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool(***)",
            Self::Text(_) => "Text(***)",
            Self::Pattern(_) => "Pattern(***)",
            Self::Word(_) => "Word(***)",
        })
    }
}

/// `WITH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// `SECURITY_ENFORCED`
    SecurityEnforced,
    /// `USER_MODE`
    UserMode,
    /// `SYSTEM_MODE`
    SystemMode,
    /// `DATA CATEGORY group selector category AND …`
    DataCategory(Categories),
    /// `NETWORK = 'id'` and the like.
    Equal(Arc<str>, Value),
}

/// Group, how it is chosen, and the categories.
pub type Categories = Vec<(Arc<str>, CategorySelector, Vec<Arc<str>>)>;

/// How a data category is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CategorySelector {
    /// `AT`
    At,
    /// `ABOVE`
    Above,
    /// `BELOW`
    Below,
    /// `ABOVE_OR_BELOW`
    AboveOrBelow,
}

impl CategorySelector {
    /// All selectors with their spelling.
    pub const ALL: [(&'static str, Self); 4] = [
        ("AT", Self::At),
        ("ABOVE", Self::Above),
        ("BELOW", Self::Below),
        ("ABOVE_OR_BELOW", Self::AboveOrBelow),
    ];
}

/// `GROUP BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Plain, or with subtotals.
    pub kind: GroupKind,
    /// What is grouped by; never empty.
    pub keys: Vec<Expr>,
}

/// How groups are formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// `GROUP BY a, b`
    Plain,
    /// `GROUP BY ROLLUP(a, b)`
    Rollup,
    /// `GROUP BY CUBE(a, b)`
    Cube,
}

/// One entry of `ORDER BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is sorted by.
    pub by: Expr,
    /// `ASC` = true, `DESC` = false.
    pub ascending: Option<bool>,
    /// `NULLS FIRST` = true, `NULLS LAST` = false.
    pub nulls_first: Option<bool>,
}

/// `FOR …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForClause {
    /// `FOR VIEW`
    View,
    /// `FOR REFERENCE`
    Reference,
    /// `FOR UPDATE`
    Update,
}

/// `UPDATE …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateClause {
    /// `UPDATE TRACKING`
    Tracking,
    /// `UPDATE VIEWSTAT`
    ViewStat,
}
