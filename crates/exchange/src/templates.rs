//! What people launch from: the templates of this repository, which are in the program, and those of a folder that
//! whoever runs the server names.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use protocol::JobSpec;
use protocol::template::{TEMPLATE_FILE, Template, TemplateLaunch, TemplateSummary};
use protocol::view::JobView;

use crate::actor::Actor;
use crate::desk::Exchange;
use crate::error::Error;

/// A file of a template is at most so large: all inline files of a job together may not be larger.
const FILE_BYTES_MAX: u64 = protocol::spec::FILES_BYTES_MAX as u64;

macro_rules! shipped {
    ($($id:literal: $($file:literal)*;)*) => {
        &[$((
            concat!("templates/", $id),
            &[$(($file, include_str!(concat!("../../../templates/", $id, "/", $file)))),*],
        )),*]
    };
}

/// (folder, its files by name)
type Shipped = (&'static str, &'static [(&'static str, &'static str)]);

const SHIPPED: &[Shipped] = shipped! {
    "digits": "template.toml" "README.md" "README.zh.md" "train.py";
    "pytorch": "template.toml" "README.md" "README.zh.md" "train.py";
    "tiny-chat": "template.toml" "README.md" "README.zh.md" "serve.py" "text.txt";
    "llm": "template.toml" "README.md" "README.zh.md" "serve.mjs";
    "blender": "template.toml" "README.md" "README.zh.md" "frames.py";
    "container": "template.toml" "README.md" "README.zh.md";
    "jupyter": "template.toml" "README.md" "README.zh.md" "start.py";
    "ray": "template.toml" "README.md" "README.zh.md" "start.py";
    "raytrace": "template.toml" "README.md" "README.zh.md" "render.py" "scene.pov";
};

static READ: LazyLock<Templates> = LazyLock::new(|| {
    // One that cannot be read is left out; the test below keeps that from happening.
    let read = SHIPPED
        .iter()
        .filter_map(|shipped| read(shipped).ok())
        .collect::<Vec<_>>();
    Templates::of(read)
});

fn read((folder, files): &Shipped) -> Result<Template, Vec<String>> {
    let file = |name: &str| {
        let found = files.iter().find(|(known, _)| *known == name);
        found.map(|(_, text)| (*text).to_owned())
    };
    Template::read(folder, file).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// All of them, in the order in which they are shown.
#[derive(Debug, Clone)]
pub struct Templates(Arc<[Template]>);

impl Templates {
    fn of(mut templates: Vec<Template>) -> Self {
        templates.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        Self(templates.into())
    }

    /// Those of this repository.
    pub fn shipped() -> Self {
        READ.clone()
    }

    /// And those of a folder, each in a folder of its own. One with the id of a shipped one takes its place.
    ///
    /// # Errors
    /// All that is wrong with them: file, key and what to do.
    pub fn with_folder(folder: &Path) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let unreadable =
            |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let entries = std::fs::read_dir(folder).map_err(|error| vec![unreadable(folder, error)])?;
        let mut templates = Self::shipped().0.to_vec();
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    problems.push(unreadable(folder, error));
                    continue;
                }
            };
            if !path.join(TEMPLATE_FILE).is_file() {
                continue;
            }
            match Template::read(&path.to_string_lossy(), |name| read_file(&path.join(name))) {
                Ok(template) => {
                    templates.retain(|known| known.id != template.id);
                    templates.push(template);
                }
                Err(errors) => problems.extend(errors.iter().map(ToString::to_string)),
            }
        }
        if problems.is_empty() {
            Ok(Self::of(templates))
        } else {
            Err(problems)
        }
    }

    pub fn all(&self) -> &[Template] {
        &self.0
    }
}

fn read_file(path: &Path) -> Option<String> {
    let small = std::fs::metadata(path).is_ok_and(|found| found.len() <= FILE_BYTES_MAX);
    small.then(|| std::fs::read_to_string(path).ok())?
}

impl Exchange {
    pub fn templates(&self) -> Vec<TemplateSummary> {
        let all = self.settings().templates.all();
        all.iter().map(Template::summary).collect()
    }

    /// # Errors
    /// There is none of this id.
    pub fn template(&self, id: &str) -> Result<&Template, Error> {
        let all = self.settings().templates.all();
        let found = all.iter().find(|template| template.id == id);
        found.ok_or(Error::NotFound("the template"))
    }

    /// The job that a launch makes.
    ///
    /// # Errors
    /// No such template, or values that it does not take.
    pub fn template_job(&self, id: &str, launch: &TemplateLaunch) -> Result<JobSpec, Error> {
        self.template(id)?.job(launch).map_err(Error::Invalid)
    }

    /// Launches: what comes of it is a job like any other, and is submitted like any other.
    ///
    /// # Errors
    /// As [`Exchange::template_job`] and [`Exchange::submit_quoted`].
    pub async fn launch_template(
        &self,
        actor: &Actor,
        id: &str,
        launch: &TemplateLaunch,
        idempotency_key: Option<&str>,
    ) -> Result<JobView, Error> {
        actor.require(protocol::view::Scope::Jobs)?;
        let spec = self.template_job(id, launch)?;
        self.submit_quoted(actor, spec, launch.device, launch.quote, idempotency_key)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{SHIPPED, Templates, read};

    fn root() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates")
    }

    /// With its defaults, its bounds and its choices a template makes jobs that can be run, or it is not read.
    #[test]
    fn each_shipped_template_makes_a_job() {
        for shipped in SHIPPED {
            if let Err(errors) = read(shipped) {
                panic!("{}", errors.join("\n"));
            }
        }
        assert_eq!(Templates::shipped().all().len(), SHIPPED.len());
    }

    #[test]
    fn each_file_of_the_folder_is_in_the_program() {
        let mut there = BTreeSet::new();
        for folder in std::fs::read_dir(root()).expect("readable") {
            let folder = folder.expect("entry").path();
            for file in std::fs::read_dir(&folder).expect("readable") {
                let path = file.expect("entry").path();
                let path = path.strip_prefix(root()).expect("below").to_owned();
                there.insert(format!("templates/{}", path.display()));
            }
        }
        let known: BTreeSet<String> = SHIPPED
            .iter()
            .flat_map(|(folder, files)| {
                files
                    .iter()
                    .map(move |(file, _)| format!("{folder}/{file}"))
            })
            .collect();
        assert_eq!(there, known);
    }

    #[test]
    fn a_folder_of_ones_own_is_added_and_its_mistakes_are_told() {
        let dir = tempfile::tempdir().expect("tempdir");
        let copy = |id: &str| {
            let to = dir.path().join(id);
            std::fs::create_dir(&to).expect("made");
            for file in std::fs::read_dir(root().join("digits")).expect("readable") {
                let from = file.expect("entry").path();
                std::fs::copy(&from, to.join(from.file_name().expect("name"))).expect("copied");
            }
        };
        copy("mine");
        copy("raytrace");
        std::fs::create_dir(dir.path().join("not-a-template")).expect("made");
        let read = Templates::with_folder(dir.path()).expect("both are right");
        assert_eq!(read.all().len(), SHIPPED.len() + 1);
        let replaced = read
            .all()
            .iter()
            .find(|t| t.id == "raytrace")
            .expect("there");
        assert_eq!(replaced.title.en, "Small neural network (numpy)");
        std::fs::write(dir.path().join("mine/template.toml"), "format = 1").expect("written");
        let errors = Templates::with_folder(dir.path()).expect_err("it says nothing");
        assert!(
            errors[0].contains("mine/template.toml: TOML parse error"),
            "{errors:?}"
        );
        let none = Templates::with_folder(&dir.path().join("none")).expect_err("not there");
        assert!(none[0].contains("none: No such file"), "{none:?}");
    }
}
