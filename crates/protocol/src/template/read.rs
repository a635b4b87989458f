//! Reads a template and says all that is wrong with it at once.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::fill::{named, pieces, texts};
use super::{
    Both, Expected, FORMAT, Given, INPUTS_MAX, Input, Kind, PORTS_MAX, README_BYTES_MAX,
    README_FILE, README_ZH_FILE, Served, Setup, TEMPLATE_FILE, Template, TemplateError, Way,
    is_template_id,
};
use crate::spec::{InlineFile, is_inner_path};

/// `template.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    kind: Kind,
    version: String,
    licence: String,
    title: Both,
    summary: Both,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    ports: Vec<Served>,
    spec: toml::Table,
    small: Option<WrittenSetup>,
    gpu: Option<WrittenSetup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSetup {
    needs: Both,
    #[serde(default)]
    packages: Vec<String>,
    min_vram_gib: Option<u32>,
    cuda: Option<String>,
    image: Option<String>,
    expected: Option<Expected>,
    #[serde(default)]
    spec: toml::Table,
}

/// Collects complaints.
struct Check<'a> {
    folder: &'a str,
    found: Vec<TemplateError>,
}

impl Check<'_> {
    fn wrong(&mut self, file: &str, key: impl Into<String>, message: impl Into<String>) {
        self.found.push(TemplateError {
            file: format!("{}/{file}", self.folder),
            key: key.into(),
            message: message.into(),
        });
    }

    fn that(&mut self, holds: bool, key: &str, message: &str) {
        if !holds {
            self.wrong(TEMPLATE_FILE, key, message);
        }
    }

    fn line(&mut self, key: &str, text: &str, most: usize) {
        let length = text.chars().count();
        self.that(
            (1..=most).contains(&length) && !text.chars().any(char::is_control),
            key,
            &format!("1 to {most} characters on one line"),
        );
    }

    fn both(&mut self, key: &str, both: &Both, most: usize) {
        self.line(&format!("{key}.en"), &both.en, most);
        self.line(&format!("{key}.zh"), &both.zh, most);
    }
}

impl Template {
    /// Reads the template in the folder of this name; `file` answers with the text of one of its files.
    ///
    /// # Errors
    /// All that is wrong with it: file, key and what to do.
    pub fn read(
        folder: &str,
        file: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<TemplateError>> {
        let mut check = Check {
            folder,
            found: Vec::new(),
        };
        // The name may be of a path; the id is its last part.
        let id = folder.rsplit('/').next().unwrap_or(folder);
        if !is_template_id(id) {
            let message = "call the folder by small letters, digits and hyphens, at most 40";
            check.wrong("", "", message);
        }
        let Some(text) = file(TEMPLATE_FILE) else {
            check.wrong(TEMPLATE_FILE, "", "it is missing, or not a UTF-8 text");
            return Err(check.found);
        };
        let written: Written = match toml::from_str(&text) {
            Ok(written) => written,
            Err(error) => {
                check.wrong(TEMPLATE_FILE, "", error.to_string().trim());
                return Err(check.found);
            }
        };
        let readme = read_me(&mut check, &file);
        let files = read_files(&mut check, &written.files, &file);
        let template = Self {
            id: id.to_owned(),
            kind: written.kind,
            title: written.title,
            summary: written.summary,
            version: written.version,
            licence: written.licence,
            inputs: written.inputs,
            ports: written.ports,
            small: written.small.map(|small| setup(small, &mut check, "small")),
            gpu: written.gpu.map(|gpu| setup(gpu, &mut check, "gpu")),
            spec: json(written.spec, &mut check, "spec"),
            files,
            readme,
        };
        check.that(
            written.format == FORMAT,
            "format",
            "this version reads format 1",
        );
        template.check(&mut check);
        if check.found.is_empty() {
            template.check_filled(&mut check);
        }
        if check.found.is_empty() {
            Ok(template)
        } else {
            Err(check.found)
        }
    }

    fn check(&self, check: &mut Check<'_>) {
        check.both("title", &self.title, 80);
        check.both("summary", &self.summary, 300);
        check.line("version", &self.version, 20);
        check.line("licence", &self.licence, 60);
        check.that(
            self.small.is_some() || self.gpu.is_some(),
            "small",
            "say how it runs: a table [small], [gpu] or both",
        );
        check.that(self.inputs.len() <= INPUTS_MAX, "inputs", "at most 32");
        check.that(self.ports.len() <= PORTS_MAX, "ports", "at most 8");
        for (i, port) in self.ports.iter().enumerate() {
            let key = format!("ports[{i}]");
            check.that(port.port > 0, &format!("{key}.port"), "from 1 to 65535");
            check.both(&format!("{key}.what"), &port.what, 120);
        }
        let mut seen = BTreeSet::new();
        for (i, input) in self.inputs.iter().enumerate() {
            let key = format!("inputs[{i}]");
            check.both(&format!("{key}.label"), &input.label, 80);
            if let Some(hint) = &input.hint {
                check.both(&format!("{key}.hint"), hint, 200);
            }
            for (n, choice) in input.choices.iter().enumerate() {
                let key = format!("{key}.choices[{n}].label");
                check.both(&key, &choice.label, 80);
            }
            for (part, message) in input.problems() {
                check.wrong(TEMPLATE_FILE, format!("{key}.{part}"), message);
            }
            let own = seen.insert(&input.name);
            check.that(own, &format!("{key}.name"), "two inputs have this name");
        }
        self.check_setups(check);
        self.check_placeholders(check);
    }

    fn check_setups(&self, check: &mut Check<'_>) {
        for way in self.ways() {
            let Some(setup) = self.setup(way) else {
                continue;
            };
            let key = way.as_str();
            check.both(&format!("{key}.needs"), &setup.needs, 400);
            for (i, package) in setup.packages.iter().enumerate() {
                check.line(&format!("{key}.packages[{i}]"), package, 80);
            }
            check.that(
                way == Way::Gpu || (setup.min_vram_gib.is_none() && setup.cuda.is_none()),
                &format!("{key}.min_vram_gib"),
                "min_vram_gib and cuda belong into [gpu]",
            );
            check.that(
                way == Way::Small || setup.min_vram_gib.is_some_and(|gib| gib > 0),
                &format!("{key}.min_vram_gib"),
                "say how much memory a card needs, in GiB",
            );
            if let Some(expected) = &setup.expected {
                check.both(&format!("{key}.expected.basis"), &expected.basis, 300);
                let counted = expected.of.as_deref();
                let known = counted.is_none_or(|name| {
                    let input = self.input(name);
                    input.is_some_and(|input| input.kind == super::InputKind::Integer)
                });
                let of = format!("{key}.expected.of");
                check.that(known, &of, "the name of an integer input");
                check.that(
                    counted.is_some() == (expected.each_milliseconds > 0),
                    &of,
                    "each_milliseconds and of belong together",
                );
            }
        }
    }

    fn check_placeholders(&self, check: &mut Check<'_>) {
        let mut found = Vec::new();
        texts(&self.spec, "spec", &mut found);
        for way in self.ways() {
            if let Some(setup) = self.setup(way) {
                texts(&setup.spec, &format!("{}.spec", way.as_str()), &mut found);
            }
        }
        for (key, text) in &found {
            if let Err(message) = pieces(text) {
                check.wrong(TEMPLATE_FILE, key, message);
            }
        }
        let named = named(&found);
        for name in &named {
            if self.input(name).is_none() {
                let at = found.iter().find(|(_, text)| text.contains(*name));
                let key = at.map(|(key, _)| key.clone()).unwrap_or_default();
                let message = format!("{{{{{name}}}}} is no input: add it to [[inputs]]");
                check.wrong(TEMPLATE_FILE, key, message);
            }
        }
        for (i, input) in self.inputs.iter().enumerate() {
            check.that(
                named.contains(input.name.as_str()),
                &format!("inputs[{i}].name"),
                "nothing in [spec] names it: write it there in double braces, or leave it out",
            );
        }
    }

    /// With the defaults, and with each bound and choice, a job comes out that can be run.
    fn check_filled(&self, check: &mut Check<'_>) {
        for way in self.ways() {
            let named = self.fill(way, &Given::new());
            for (i, served) in self.ports.iter().enumerate() {
                let known = named.as_ref().is_ok_and(|spec| {
                    let mut ports = spec.ports.iter();
                    ports.any(|port| port.port == served.port)
                });
                check.that(
                    known || named.is_err(),
                    &format!("ports[{i}].port"),
                    "name it in [[spec.ports]] too, or nobody reaches it",
                );
            }
            let mut tried = vec![Given::new()];
            for input in &self.inputs {
                let bounds = [&input.min, &input.max].into_iter().flatten();
                let choices = input.choices.iter().map(|choice| &choice.value);
                for value in bounds.chain(choices) {
                    tried.push(Given::from([(input.name.clone(), value.clone())]));
                }
            }
            for given in tried {
                let Err(problems) = self.fill(way, &given) else {
                    continue;
                };
                let with = given.iter().next();
                let with = with.map_or(String::new(), |(name, value)| {
                    format!(" (with {name} = {value})")
                });
                for problem in problems {
                    let key = format!("spec.{}", problem.field);
                    check.wrong(TEMPLATE_FILE, key, format!("{}{with}", problem.message));
                }
            }
        }
    }
}

fn setup(written: WrittenSetup, check: &mut Check<'_>, key: &str) -> Setup {
    Setup {
        needs: written.needs,
        packages: written.packages,
        min_vram_gib: written.min_vram_gib,
        cuda: written.cuda,
        image: written.image,
        expected: written.expected,
        spec: json(written.spec, check, &format!("{key}.spec")),
    }
}

fn json(table: toml::Table, check: &mut Check<'_>, key: &str) -> Value {
    if table.contains_key("files") {
        let key = format!("{key}.files");
        let message = "list them in `files` at the top: they lie beside template.toml";
        check.wrong(TEMPLATE_FILE, key, message);
    }
    serde_json::to_value(table).unwrap_or_else(|error| {
        check.wrong(TEMPLATE_FILE, key, error.to_string());
        Value::Null
    })
}

fn read_me(check: &mut Check<'_>, file: impl Fn(&str) -> Option<String>) -> Both {
    let en = file(README_FILE).unwrap_or_default();
    if en.trim().is_empty() {
        let message = "write what it does, what it needs and what it leaves";
        check.wrong(README_FILE, "", message);
    }
    let zh = file(README_ZH_FILE).unwrap_or_else(|| en.clone());
    for (name, text) in [(README_FILE, &en), (README_ZH_FILE, &zh)] {
        if text.len() > README_BYTES_MAX {
            check.wrong(name, "", "at most 64 KiB");
        }
    }
    Both { en, zh }
}

fn read_files(
    check: &mut Check<'_>,
    names: &[String],
    file: impl Fn(&str) -> Option<String>,
) -> Vec<InlineFile> {
    let mut files = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let key = format!("files[{i}]");
        if !is_inner_path(name) {
            let message = "a relative path inside the template's folder";
            check.wrong(TEMPLATE_FILE, key, message);
            continue;
        }
        match file(name) {
            Some(content) => files.push(InlineFile {
                path: name.clone(),
                content,
            }),
            None => check.wrong(
                TEMPLATE_FILE,
                key,
                format!("there is no text file {name} beside template.toml"),
            ),
        }
    }
    files
}
