//! Plants all mutants of a file at once, each behind a question whether it is the one that is tried.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use proc_macro2::Span;
use syn::Arm;
use syn::BinOp;
use syn::Expr;
use syn::ExprBinary;
use syn::ExprStruct;
use syn::ExprUnary;
use syn::ItemConst;
use syn::ItemStatic;
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::list::Kind;
use super::list::Mutant;
use crate::run::Outcome;

/// A file with its mutants.
#[derive(Debug)]
pub struct Planted {
    pub text: String,
    /// Those that could be planted.
    pub numbers: BTreeSet<usize>,
    /// Those that nothing can compile: a condition that binds names has no other operator.
    pub rejected: BTreeSet<usize>,
    /// Where they stand in the text, the inner ones behind those around them.
    marks: Vec<Mark>,
    /// Those whose value is compared with the original's when that is asked for.
    pub watched: BTreeSet<usize>,
}

/// A piece of the text that is there for mutants.
#[derive(Clone, Debug)]
struct Mark {
    at: Range<usize>,
    /// One where it is the mutant itself, all of one place where it is what is around them.
    numbers: Vec<usize>,
}

impl Planted {
    /// A constant function cannot ask; the text keeps its length.
    pub fn without_constant_functions(&mut self) {
        self.text = self.text.replace("const fn ", "      fn ");
    }

    /// The mutants that a piece of the text is there for: of the innermost one, or of the innermost place.
    pub fn at(&self, place: Range<usize>) -> Option<&[usize]> {
        let around = |mark: &&Mark| mark.at.start <= place.start && place.end <= mark.at.end;
        let innermost = |marks: &mut dyn Iterator<Item = &Mark>| {
            let all: Vec<Mark> = marks.cloned().collect();
            all.into_iter().min_by_key(|mark| mark.at.len())
        };
        let own = |mark: &&Mark| mark.numbers.len() == 1;
        let found = innermost(&mut self.marks.iter().filter(around).filter(own))
            .or_else(|| innermost(&mut self.marks.iter().filter(around)))?;
        let same = |mark: &&Mark| mark.at == found.at;
        self.marks
            .iter()
            .find(same)
            .map(|mark| mark.numbers.as_slice())
    }

    /// The mutants around a place whose value is compared with the original's.
    pub fn watched_at(&self, place: &Range<usize>) -> BTreeSet<usize> {
        let around = |mark: &&Mark| mark.at.start <= place.start && place.end <= mark.at.end;
        let marks = self.marks.iter().filter(around);
        let numbers = marks.flat_map(|mark| mark.numbers.iter().copied());
        numbers.filter(|one| self.watched.contains(one)).collect()
    }

    /// The last mutant that ends before a place.
    pub fn before(&self, place: usize) -> Option<usize> {
        let ends = self.marks.iter().filter(|mark| mark.at.end <= place);
        let last = ends.max_by_key(|mark| mark.at.end)?;
        last.numbers.first().copied()
    }

    /// The first mutant of those asked for that begins behind a place.
    pub fn behind(&self, place: usize, is_asked_for: impl Fn(usize) -> bool) -> Option<usize> {
        let begins = self.marks.iter().filter(|mark| mark.at.start >= place);
        let asked = begins.flat_map(|mark| mark.numbers.iter().map(|&one| (mark.at.start, one)));
        let found = asked.filter(|&(_, one)| is_asked_for(one));
        found.min().map(|(_, one)| one)
    }
}

/// Plants the mutants of one file, except those `left_out`; those that are `unwatched` so that their values are not compared.
pub fn plant(
    source: &str,
    mutants: &[&Mutant],
    left_out: &BTreeSet<usize>,
    unwatched: &BTreeSet<usize>,
) -> Outcome<Planted> {
    let file = syn::parse_file(source).map_err(|error| error.to_string())?;
    let lines = lines(source);
    let mut wanted: BTreeMap<usize, Vec<&Mutant>> = BTreeMap::new();
    for &mutant in mutants {
        if !left_out.contains(&mutant.number) {
            let at = offset(source, &lines, mutant.place);
            wanted.entry(at).or_default().push(mutant);
        }
    }
    let mut finder = Finder {
        wanted,
        nodes: Vec::new(),
        rejected: BTreeSet::new(),
        watched: BTreeSet::new(),
        unwatched,
    };
    finder.bodies();
    finder.visit_file(&file);
    let mut nodes = finder.nodes;
    // What is put in front of something stands before it, and what is around before what is inside.
    nodes.sort_by_key(|node| (node.at.start, !node.at.is_empty(), usize::MAX - node.at.end));
    let mut writer = Writer {
        source,
        nodes: &nodes,
        planted: Planted {
            text: String::new(),
            numbers: BTreeSet::new(),
            rejected: finder.rejected,
            marks: Vec::new(),
            watched: finder.watched,
        },
    };
    writer.copy(0..source.len(), 0);
    Ok(writer.planted)
}

/// Where each line begins.
fn lines(source: &str) -> Vec<usize> {
    let ends = source.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

fn offset(source: &str, lines: &[usize], (line, column): (usize, usize)) -> usize {
    let start = lines[line - 1];
    let characters = source[start..].char_indices();
    start
        + characters
            .map(|(at, _)| at)
            .nth(column - 1)
            .unwrap_or_default()
}

/// A piece of the source that is written otherwise.
struct Node {
    at: Range<usize>,
    numbers: Vec<usize>,
    pieces: Vec<Piece>,
}

enum Piece {
    Text(String),
    Source(Range<usize>),
    /// The mutant itself.
    Mutant(usize, Vec<Piece>),
}

fn text(words: impl Into<String>) -> Piece {
    Piece::Text(words.into())
}

/// The question whether a mutant is the one that is tried.
fn asked(mutant: &Mutant) -> String {
    format!("crate::is_mutant({})", mutant.number)
}

/// Either one of the mutants, or what was there.
fn choice(variants: Vec<(&Mutant, Vec<Piece>)>, original: Vec<Piece>) -> Vec<Piece> {
    let mut pieces = vec![text("(")];
    for (mutant, variant) in variants {
        pieces.push(text(format!("if {} {{", asked(mutant))));
        pieces.push(Piece::Mutant(mutant.number, variant));
        pieces.push(text("} else "));
    }
    pieces.push(text("{"));
    pieces.extend(original);
    pieces.push(text("})"));
    pieces
}

/// The same for values that can be reckoned more than once: both can be compared.
fn watched_choice(variants: Vec<(&Mutant, Vec<Piece>)>, original: Vec<Piece>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut end = String::new();
    for (mutant, variant) in variants {
        pieces.push(text(format!("crate::chosen({}, || ", mutant.number)));
        pieces.push(Piece::Mutant(mutant.number, variant));
        pieces.push(text(", || "));
        end.push(')');
    }
    pieces.extend(original);
    pieces.push(text(end));
    pieces
}

/// Methods that change what they are called on, or use it up.
const CHANGING: [&str; 24] = [
    "add",
    "all",
    "any",
    "count",
    "drain",
    "entry",
    "extend",
    "find",
    "fold",
    "insert",
    "last",
    "max_by",
    "min_by",
    "next",
    "next_back",
    "nth",
    "pop",
    "pop_front",
    "position",
    "push",
    "remove",
    "replace",
    "sum",
    "take",
];

/// Whether a value can be reckoned twice: nothing in it changes anything or leaves the function, as far as one can see.
fn is_plain(expression: &Expr) -> bool {
    match expression {
        Expr::Lit(_) | Expr::Path(_) => true,
        Expr::Paren(one) => is_plain(&one.expr),
        Expr::Field(one) => is_plain(&one.base),
        Expr::Cast(one) => is_plain(&one.expr),
        Expr::Reference(one) => one.mutability.is_none() && is_plain(&one.expr),
        Expr::Unary(one) => is_plain(&one.expr),
        Expr::Index(one) => is_plain(&one.expr) && is_plain(&one.index),
        Expr::Binary(one) => !changes(&one.op) && is_plain(&one.left) && is_plain(&one.right),
        Expr::Call(one) => is_plain(&one.func) && one.args.iter().all(is_plain),
        Expr::MethodCall(one) => {
            let changes = CHANGING.iter().any(|name| one.method == name);
            !changes && is_plain(&one.receiver) && one.args.iter().all(is_plain)
        }
        Expr::Tuple(one) => one.elems.iter().all(is_plain),
        _ => false,
    }
}

fn changes(operator: &BinOp) -> bool {
    use BinOp::*;
    matches!(
        operator,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitXorAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

/// Finds the places of the mutants.
struct Finder<'a> {
    wanted: BTreeMap<usize, Vec<&'a Mutant>>,
    nodes: Vec<Node>,
    rejected: BTreeSet<usize>,
    watched: BTreeSet<usize>,
    unwatched: &'a BTreeSet<usize>,
}

impl<'a> Finder<'a> {
    fn of(&self, at: usize, kind: Kind) -> Vec<&'a Mutant> {
        let here = self.wanted.get(&at).into_iter().flatten();
        here.copied().filter(|one| one.kind == kind).collect()
    }

    fn bodies(&mut self) {
        for (&at, mutants) in &self.wanted {
            let bodies: Vec<&&Mutant> = mutants
                .iter()
                .filter(|one| one.kind == Kind::FunctionBody)
                .collect();
            let mut pieces = Vec::new();
            for mutant in &bodies {
                pieces.push(text(format!("if {} {{", asked(mutant))));
                let instead = text(format!("return {};", mutant.replacement));
                pieces.push(Piece::Mutant(mutant.number, vec![instead]));
                pieces.push(text("} "));
            }
            if !bodies.is_empty() {
                self.nodes.push(Node {
                    at: at..at,
                    numbers: bodies.iter().map(|mutant| mutant.number).collect(),
                    pieces,
                });
            }
        }
    }

    /// A choice of values, which are compared where `is_plain`.
    fn choice(
        &mut self,
        is_plain: bool,
        variants: Vec<(&Mutant, Vec<Piece>)>,
        original: Vec<Piece>,
    ) -> Vec<Piece> {
        let is_unwatched = |(one, _): &(&Mutant, Vec<Piece>)| self.unwatched.contains(&one.number);
        if !is_plain || variants.iter().any(is_unwatched) {
            return choice(variants, original);
        }
        self.watched
            .extend(variants.iter().map(|(one, _)| one.number));
        watched_choice(variants, original)
    }

    fn push(&mut self, at: Range<usize>, mutants: &[&Mutant], pieces: Vec<Piece>) {
        if !mutants.is_empty() {
            self.nodes.push(Node {
                at,
                numbers: mutants.iter().map(|mutant| mutant.number).collect(),
                pieces,
            });
        }
    }
}

fn range(span: Span) -> Range<usize> {
    span.byte_range()
}

/// Whether a pattern is bound in there, which can stand only where it is.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) => {
            binds(&binary.left) || binds(&binary.right)
        }
        _ => false,
    }
}

impl Visit<'_> for Finder<'_> {
    fn visit_expr_binary(&mut self, node: &ExprBinary) {
        let operator = range(node.op.span());
        let mutants = self.of(operator.start, Kind::Operator);
        let (left, right) = (range(node.left.span()), range(node.right.span()));
        let all = left.start..right.end;
        let (before, after) = (all.start..operator.start, operator.end..all.end);
        if binds(&node.left) || binds(&node.right) {
            self.rejected.extend(mutants.iter().map(|one| one.number));
        } else {
            let with = |operator: Piece| {
                vec![
                    text("("),
                    Piece::Source(before.clone()),
                    operator,
                    Piece::Source(after.clone()),
                    text(")"),
                ]
            };
            let variants = mutants
                .iter()
                .map(|mutant| (*mutant, with(text(mutant.replacement.clone()))));
            let is_plain = !changes(&node.op) && is_plain(&node.left) && is_plain(&node.right);
            let original = with(Piece::Source(operator));
            let pieces = self.choice(is_plain, variants.collect(), original);
            self.push(all, &mutants, pieces);
        }
        syn::visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &ExprUnary) {
        let all = range(node.span());
        let mutants = self.of(all.start, Kind::Negation);
        let variants = mutants.iter().map(|mutant| {
            let without = range(node.expr.span());
            (*mutant, vec![Piece::Source(without)])
        });
        let original = vec![Piece::Source(all.clone())];
        let pieces = self.choice(is_plain(&node.expr), variants.collect(), original);
        self.push(all, &mutants, pieces);
        syn::visit::visit_expr_unary(self, node);
    }

    fn visit_arm(&mut self, node: &Arm) {
        let deleted = self.of(range(node.span()).start, Kind::MatchArm);
        let not_deleted: String = deleted
            .iter()
            .map(|mutant| format!("!{} && ", asked(mutant)))
            .collect();
        if let Some((_, guard)) = &node.guard {
            let at = range(guard.span());
            let mutants = self.of(at.start, Kind::Guard);
            let mut words = not_deleted;
            let mut ends = String::new();
            for mutant in &mutants {
                let question = asked(mutant);
                if mutant.replacement == "true" {
                    words += &format!("({question} || ");
                    ends += ")";
                } else {
                    words += &format!("!{question} && ");
                }
            }
            if !binds(guard) {
                let all: Vec<&Mutant> = deleted.iter().chain(&mutants).copied().collect();
                let pieces = vec![
                    text(words + "("),
                    Piece::Source(at.clone()),
                    text(ends + ")"),
                ];
                self.push(at, &all, pieces);
            }
        } else {
            let end = range(node.pat.span()).end;
            let words = not_deleted.trim_end_matches("&& ");
            self.push(end..end, &deleted, vec![text(format!(" if {words}"))]);
        }
        syn::visit::visit_arm(self, node);
    }

    fn visit_expr_struct(&mut self, node: &ExprStruct) {
        for field in &node.fields {
            let at = range(field.span());
            let mutants = self.of(at.start, Kind::Field);
            let (Some(rest), syn::Member::Named(name)) = (&node.rest, &field.member) else {
                continue;
            };
            let variants = mutants.iter().map(|mutant| {
                let of_rest = vec![
                    text("("),
                    Piece::Source(range(rest.span())),
                    text(format!(").{name}")),
                ];
                (*mutant, of_rest)
            });
            let value = range(field.expr.span());
            let mut pieces = vec![text(format!("{name}: "))];
            pieces.extend(choice(variants.collect(), vec![Piece::Source(value)]));
            self.push(at, &mutants, pieces);
        }
        syn::visit::visit_expr_struct(self, node);
    }

    // The compiler reckons these, and cannot ask.
    fn visit_item_const(&mut self, _: &ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &syn::ImplItemConst) {}
    fn visit_item_static(&mut self, _: &ItemStatic) {}
}

struct Writer<'a> {
    source: &'a str,
    nodes: &'a [Node],
    planted: Planted,
}

impl Writer<'_> {
    /// Writes a piece of the source, with the nodes from the `first` on that lie in it.
    fn copy(&mut self, piece: Range<usize>, first: usize) {
        let mut at = piece.start;
        for index in first..self.nodes.len() {
            let node = &self.nodes[index];
            if node.at.start > piece.end {
                break;
            }
            if node.at.start >= at && node.at.end <= piece.end {
                self.planted.text.push_str(&self.source[at..node.at.start]);
                at = node.at.end;
                let begin = self.planted.text.len();
                self.pieces(&node.pieces, index + 1);
                self.planted.numbers.extend(&node.numbers);
                self.mark(begin, node.numbers.clone());
            }
        }
        self.planted.text.push_str(&self.source[at..piece.end]);
    }

    fn pieces(&mut self, pieces: &[Piece], first: usize) {
        for piece in pieces {
            match piece {
                Piece::Text(words) => self.planted.text.push_str(words),
                Piece::Source(of) => self.copy(of.clone(), first),
                Piece::Mutant(number, pieces) => {
                    let begin = self.planted.text.len();
                    self.pieces(pieces, first);
                    self.mark(begin, vec![*number]);
                }
            }
        }
    }

    fn mark(&mut self, begin: usize, numbers: Vec<usize>) {
        let at = begin..self.planted.text.len();
        self.planted.marks.push(Mark { at, numbers });
    }
}
