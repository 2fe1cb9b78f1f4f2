//! Names of a definition as they are meant: what is kept must not depend on the search path of who typed it.
//!
//! Comes in: a definition's text behind its name, and what names mean. Goes out: the same text with the names of tables
//! written out. What cannot be read stays as it is: reading the definition then says what is wrong.

use super::{NESTING_MAX, byte_of};
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableFactor, Visit as _, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::ops::{ControlFlow, Range};

/// What stands before the query of a definition, the first time outside of parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// `AS query`
    As,
    /// `EXISTS (query)`, be it in parentheses itself
    Exists,
}

impl Behind {
    fn word(self) -> &'static str {
        match self {
            Behind::As => "AS",
            Behind::Exists => "EXISTS",
        }
    }
}

/// Writes names out: `resolve` gives what stands for the parts of a name, if something else is to.
pub fn qualified(body: &str, behind: Behind, resolve: impl Fn(&[String]) -> Option<String>) -> String {
    let Some(query) = query_of(body, behind) else { return body.to_string() };
    let mut names = Names { scopes: vec![], found: vec![] };
    let _ = query.visit(&mut names);
    let place = |name: &Found| {
        let (first, last) = (name.parts.first()?, name.parts.last()?);
        let range = byte_of(body, first.span.start)?..byte_of(body, last.span.end)?;
        let texts: Vec<String> = name.parts.iter().map(text_of_part).collect();
        resolve(&texts).map(|text| (range, text))
    };
    let mut edits: Vec<(Range<usize>, String)> = names.found.iter().filter_map(place).collect();
    edits.sort_by_key(|(range, _)| range.start);
    let mut text = body.to_string();
    for (range, name) in edits.into_iter().rev() {
        if text.get(range.clone()).is_some() {
            text.replace_range(range, &name);
        }
    }
    text
}

fn query_of(body: &str, behind: Behind) -> Option<Box<Query>> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, body).tokenize_with_location().ok()?;
    let mut depth = 0;
    let start = tokens.iter().position(|token: &TokenWithSpan| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        let is_outside = depth == 0 || behind == Behind::Exists;
        is_outside
            && matches!(&token.token, Token::Word(word)
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(behind.word()))
    })?;
    // What stands in parentheses, behind EXISTS, is read up to where they close.
    let is_opening = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_) | Token::LParen);
    let skipped = match behind {
        Behind::As => 0,
        Behind::Exists => tokens.get(start + 1..)?.iter().take_while(|token| is_opening(token)).count(),
    };
    let tokens = tokens.get(start + 1 + skipped..)?.to_vec();
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
    parser.parse_query().ok()
}

struct Found {
    parts: Vec<Ident>,
}

/// Collects the names of tables; those of CTEs are names of the query itself.
struct Names {
    scopes: Vec<Vec<String>>,
    found: Vec<Found>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.scopes.push(ctes.map(|cte| text_of_part(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name: ObjectName(parts), args: None, .. } = factor {
            let parts: Vec<Ident> = parts.iter().filter_map(ObjectNamePart::as_ident).cloned().collect();
            let is_cte = |name: &String| self.scopes.iter().flatten().any(|cte| cte == name);
            if !matches!(parts.as_slice(), [one] if is_cte(&text_of_part(one))) {
                self.found.push(Found { parts });
            }
        }
        ControlFlow::Continue(())
    }
}

/// An identifier as it is resolved: lower case unless quoted.
fn text_of_part(part: &Ident) -> String {
    if part.quote_style.is_some() { part.value.clone() } else { part.value.to_lowercase() }
}
