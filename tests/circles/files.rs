//! Which file of a crate imports from which: every `use` and every path in code, followed to the file that defines what is named.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use crate::source::{Token, tokens};

/// A name with where it leads to.
enum Found {
    Module(usize),
    /// In this file.
    Item(usize),
    /// In another crate.
    Outside,
}

/// A module: a file, or one inside of a file.
#[derive(Default)]
struct Module {
    file: usize,
    parent: usize,
    children: BTreeMap<String, usize>,
    defined: BTreeSet<String>,
    /// What `use` gives names to.
    named: BTreeMap<String, Vec<String>>,
    /// What `use …::*` takes everything from.
    globs: Vec<Vec<String>>,
    /// What its code takes from elsewhere.
    paths: BTreeSet<Vec<String>>,
}

/// The files of a crate with their imports.
pub struct Files {
    names: Vec<String>,
    modules: Vec<Module>,
}

impl Files {
    /// Reads a crate from its files: `lib.rs`, `run.rs`, `run/repair.rs`, `spec/mod.rs`.
    pub fn new(files: &BTreeMap<String, String>) -> Self {
        let mut crate_ = Self { names: Vec::new(), modules: Vec::new() };
        let root = ["lib.rs", "main.rs"].into_iter().find(|root| files.contains_key(*root));
        crate_.read(root.expect("a crate has a root"), "", 0, files);
        crate_
    }

    /// Reads a file and those of the modules that it declares, which lie in `folder`.
    fn read(&mut self, name: &str, folder: &str, parent: usize, files: &BTreeMap<String, String>) -> usize {
        let (file, module) = (self.names.len(), self.modules.len());
        self.names.push(name.to_owned());
        self.modules.push(Module { file, parent, ..Module::default() });
        let tokens = tokens(&files[name]);
        let mut scan = Scan { tokens: &tokens, at: 0, republished: Vec::new(), declared: Vec::new() };
        scan.module(&mut self.modules, module);
        for (at, bound, path) in std::mem::take(&mut scan.republished) {
            // A name that is only passed on is nothing that this file needs.
            let uses = tokens.iter().filter(|token| token.is(&bound)).count();
            let listed = path.iter().filter(|part| **part == bound).count().max(1);
            if uses > listed {
                self.modules[at].paths.insert(path);
            }
        }
        for (at, child) in scan.declared {
            let inside = format!("{folder}{child}/");
            let place = [format!("{folder}{child}.rs"), format!("{inside}mod.rs")];
            let place = place.iter().find(|place| files.contains_key(*place));
            let place = place.unwrap_or_else(|| panic!("{name} declares `{child}`, whose file is missing"));
            let id = self.read(place, &inside, at, files);
            self.modules[at].children.insert(child, id);
        }
        module
    }

    fn lookup(
        &self,
        module: usize,
        name: &str,
        is_last: bool,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Found> {
        let own = &self.modules[module];
        let child = own.children.get(name).map(|&child| Found::Module(child));
        if !is_last && child.is_some() {
            return child;
        }
        if own.defined.contains(name) {
            return Some(Found::Item(own.file));
        }
        if seen.insert((module, name.to_owned())) {
            if let Some(path) = own.named.get(name) {
                return Some(self.resolve(module, path, seen).or(child).unwrap_or(Found::Outside));
            }
            for glob in &own.globs {
                if let Some(Found::Module(source)) = self.resolve(module, glob, seen)
                    && let Some(found) = self.lookup(source, name, is_last, seen)
                {
                    return Some(found);
                }
            }
        }
        child
    }

    /// What a path leads to from a module; `None` where it leads out of the crate.
    fn resolve(&self, from: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let mut at = from;
        for (index, part) in path.iter().enumerate() {
            match part.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent,
                name => match self.lookup(at, name, index + 1 == path.len(), seen)? {
                    Found::Module(module) => at = module,
                    item => return Some(item),
                },
            }
        }
        Some(Found::Module(at))
    }

    /// From each file to the files that it imports from, with a path that does so.
    fn edges(&self) -> BTreeMap<(usize, usize), String> {
        let mut edges = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate() {
            let mut add = |file: usize, path: &[String]| {
                if file != module.file {
                    edges.entry((module.file, file)).or_insert_with(|| path.join("::"));
                }
            };
            for path in &module.paths {
                let is_ours = matches!(path[0].as_str(), "crate" | "self" | "super");
                match self.resolve(id, path, &mut BTreeSet::new()) {
                    Some(Found::Item(file)) => add(file, path),
                    Some(Found::Module(_) | Found::Outside) => {}
                    None => {
                        assert!(!is_ours, "{}: {} leads nowhere", self.names[module.file], path.join("::"))
                    }
                }
            }
            for glob in &module.globs {
                if let Some(Found::Module(source)) = self.resolve(id, glob, &mut BTreeSet::new()) {
                    add(self.modules[source].file, glob);
                }
            }
        }
        edges
    }

    /// The circles: the files of each, with what they import from each other.
    pub fn circles(&self) -> Vec<Circle> {
        let edges = self.edges();
        let mut graph = DiGraph::<(), ()>::new();
        let nodes: Vec<_> = self.names.iter().map(|_| graph.add_node(())).collect();
        graph.extend_with_edges(edges.keys().map(|&(from, to)| (nodes[from], nodes[to])));
        let mut circles: Vec<Circle> = tarjan_scc(&graph)
            .into_iter()
            .map(|members| members.into_iter().map(|node| node.index()).collect::<Vec<usize>>())
            .filter(|members| members.len() > 1)
            .map(|members| {
                let inside = |(from, to): &(usize, usize)| members.contains(from) && members.contains(to);
                let name = |file: usize| self.names[file].clone();
                Circle {
                    files: members.iter().map(|&file| name(file)).collect(),
                    imports: edges
                        .iter()
                        .filter(|(edge, _)| inside(edge))
                        .map(|((from, to), path)| format!("{} -> {}: {path}", name(*from), name(*to)))
                        .collect(),
                }
            })
            .collect();
        circles.sort_by(|one, other| one.files.cmp(&other.files));
        circles
    }
}

/// Files each of which imports from each other one, if by others between.
#[derive(Debug, PartialEq)]
pub struct Circle {
    pub files: BTreeSet<String>,
    pub imports: Vec<String>,
}

/// Goes through the tokens of a file.
struct Scan<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Names that are published again: the module, the name and its path.
    republished: Vec<(usize, String, Vec<String>)>,
    /// Modules with files of their own.
    declared: Vec<(usize, String)>,
}

impl Scan<'_> {
    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at) == Some(&Token::Sign(sign))
    }

    /// Reads a module up to the brace that closes it, or to the end.
    fn module(&mut self, modules: &mut Vec<Module>, module: usize) {
        let mut depth = 0;
        while let Some(token) = self.tokens.get(self.at) {
            let begin = self.at;
            self.at += 1;
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') if depth == 0 => return,
                Token::Sign('}') => depth -= 1,
                Token::Word(word) if begin == 0 || self.tokens[begin - 1] != Token::Path => {
                    self.at_word(modules, module, begin, &word.clone());
                }
                _ => {}
            }
        }
    }

    fn at_word(&mut self, modules: &mut Vec<Module>, module: usize, begin: usize, word: &str) {
        let name = self.word(begin + 1).map(str::to_owned);
        match (word, name) {
            ("mod", Some(name)) if self.is_sign(begin + 2, ';') => {
                self.at = begin + 3;
                self.declared.push((module, name));
            }
            ("mod", Some(name)) if self.is_sign(begin + 2, '{') => {
                self.at = begin + 3;
                let (child, file) = (modules.len(), modules[module].file);
                modules.push(Module { file, parent: module, ..Module::default() });
                modules[module].children.insert(name, child);
                self.module(modules, child);
            }
            ("use", _) if !self.is_sign(begin + 1, '<') => {
                let public = begin > 0 && (self.tokens[begin - 1].is("pub") || self.is_sign(begin - 1, ')'));
                self.import(modules, module, &[], public);
            }
            ("fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union", Some(name)) => {
                modules[module].defined.insert(name);
            }
            ("macro_rules", _) => {
                let name = self.word(begin + 2).map(str::to_owned);
                modules[module].defined.extend(name);
            }
            _ if self.tokens.get(begin + 1) == Some(&Token::Path) => {
                let mut path = vec![word.to_owned()];
                while self.tokens.get(self.at) == Some(&Token::Path)
                    && let Some(word) = self.word(self.at + 1)
                {
                    path.push(word.to_owned());
                    self.at += 2;
                }
                modules[module].paths.insert(path);
            }
            _ => {}
        }
    }

    /// Reads a tree of imports behind what stands before it.
    fn import(&mut self, modules: &mut Vec<Module>, module: usize, before: &[String], public: bool) {
        let mut path = before.to_vec();
        let mut alias = None;
        loop {
            let at = self.at;
            self.at += 1;
            match self.tokens.get(at) {
                Some(Token::Path) => {}
                Some(Token::Word(word)) if word == "as" => {
                    alias = self.word(self.at).map(str::to_owned);
                    self.at += 1;
                }
                Some(Token::Word(word)) if word == "self" && !path.is_empty() => {}
                Some(Token::Word(word)) => path.push(word.clone()),
                Some(Token::Sign('*')) => {
                    modules[module].globs.push(path.clone());
                    path.clear();
                }
                Some(Token::Sign('{')) => {
                    while !self.is_sign(self.at, '}') {
                        let begin = self.at;
                        self.import(modules, module, &path, public);
                        // A comma, or the variables of a macro.
                        if self.at == begin || self.is_sign(self.at, ',') {
                            self.at += 1;
                        }
                        assert!(self.at < self.tokens.len(), "{} is not closed", path.join("::"));
                    }
                    self.at += 1;
                    path.clear();
                }
                _ => {
                    self.at = at;
                    break;
                }
            }
        }
        if let Some(bound) = alias.or_else(|| path.last().cloned()) {
            if bound != "_" {
                modules[module].named.insert(bound.clone(), path.clone());
            }
            if public {
                self.republished.push((module, bound, path));
            } else {
                modules[module].paths.insert(path);
            }
        }
    }
}
