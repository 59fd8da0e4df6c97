//! `etl-operator-bench operator`: everything that is measured, in its order.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use etl_lab::cache::Artefacts;
use etl_lab::{enter, repository};
use etl_sheet::Machine;
use serde_json::Value;

use crate::audit::AuditLog;
use crate::bed::{self, Bed};
use crate::operator::{Operator, Variant, beside_this_program};
use crate::page;
use crate::race::{Task, race};
use crate::rest;
use crate::results::{DEFAULTS, Load, Results};
use crate::subject::{self, Arm};

/// The lab's name: tests may have theirs at the same time.
const LAB: &str = "bench-operator";

/// Runs before anything is measured, of each arm.
const WARM_UP: usize = 100;

/// The figures, beside the page.
const RAW: &str = "operator.json";
const PAGE: &str = "operator.md";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// 200 jobs, one round, few objects: whether it works, in some minutes
    #[arg(long)]
    quick: bool,
    /// Numbers of jobs at saturation, separated by commas; the first also at half load
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<usize>,
    /// Rounds, in each of which every arm runs once; medians are reported
    #[arg(long)]
    runs: Option<usize>,
    /// A number of jobs that is run once at saturation; 0 leaves it out
    #[arg(long)]
    crowd: Option<usize>,
    /// EtlJobs that have ended, for memory and a restart; 0 leaves it out
    #[arg(long)]
    objects: Option<usize>,
    /// How long pods run
    #[arg(long, default_value_t = 1.0)]
    pod_seconds: f64,
    /// Another setting to measure at saturation: `name:VARIABLE=value,...` [default: fewer
    /// and more passes side by side, unless quick]
    #[arg(long = "variant", value_parser = variant)]
    variants: Vec<Variant>,
    /// The program to measure [default: the one beside this]
    #[arg(long)]
    operator: Option<PathBuf>,
    /// Folder of the report [default: docs/benchmarks, or the lab's if quick]
    #[arg(long)]
    out: Option<PathBuf>,
    /// How the operator was compiled, for the report
    #[arg(long, default_value = "release")]
    build: String,
}

impl Options {
    /// The operator to measure.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let program = self.operator.clone().map_or_else(beside_this_program, Ok)?;
        fs::canonicalize(&program).with_context(|| format!("there is no {}", program.display()))
    }

    fn jobs(&self) -> Vec<usize> {
        match (&*self.jobs, self.quick) {
            ([], true) => vec![200],
            ([], false) => vec![1_000],
            (jobs, _) => jobs.to_vec(),
        }
    }

    fn rounds(&self) -> usize {
        self.runs.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn crowd(&self) -> usize {
        self.crowd.unwrap_or(if self.quick { 0 } else { 10_000 })
    }

    fn objects(&self) -> usize {
        self.objects
            .unwrap_or(if self.quick { 2_000 } else { 100_000 })
    }

    fn variants(&self) -> Vec<Variant> {
        if !self.variants.is_empty() || self.quick {
            return self.variants.clone();
        }
        [4, 64].map(concurrency).to_vec()
    }

    fn out(&self, quick: PathBuf) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.quick => quick,
            None => docs(),
        }
    }
}

fn docs() -> PathBuf {
    repository().join("docs/benchmarks")
}

/// So many passes side by side.
fn concurrency(passes: u32) -> Variant {
    Variant {
        name: format!("{passes} passes side by side"),
        env: [("ETL_CONCURRENCY".to_owned(), passes.to_string())].into(),
    }
}

fn variant(text: &str) -> Result<Variant, String> {
    let (name, settings) = text.split_once(':').ok_or("there is no colon in it")?;
    let pair = |setting: &str| {
        let (variable, value) = setting.split_once('=').ok_or("a setting needs a =")?;
        Ok((variable.to_owned(), value.to_owned()))
    };
    Ok(Variant {
        name: name.to_owned(),
        env: settings
            .split(',')
            .map(pair)
            .collect::<Result<_, String>>()?,
    })
}

/// Measures, writes the report and prints its summary.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = options.program()?;
    eprintln!("bench: measuring {}", program.display());
    let machine = Machine::here(&options.build)?;
    let artefacts = Artefacts::ensure()?;
    artefacts.kwok()?;
    // Downloads are over: from here on there is no way out.
    let namespace = enter(LAB)?;
    let out = options.out(namespace.layout().log());
    let site = bed::site(
        namespace,
        &artefacts,
        Duration::from_secs_f64(options.pod_seconds),
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let results = Results {
        machine,
        versions: Default::default(),
        quick: options.quick,
        rounds: options.rounds(),
        pod_seconds: options.pod_seconds,
        runs: Vec::new(),
        rests: Vec::new(),
        growths: Vec::new(),
    };
    let results = runtime.block_on(async {
        let bed = Bed::start(site, options).await?;
        let mut program = Program::begin(bed, options, results, out.clone()).await?;
        program.everything().await?;
        program.end()
    })?;
    drop(runtime);
    write(&results, &out)
}

/// Writes the report of figures that are there.
pub(crate) fn report(folder: Option<&Path>) -> Result<()> {
    let folder = folder.map_or_else(docs, Path::to_owned);
    let kept = folder.join(RAW);
    let text = fs::read(&kept).with_context(|| format!("cannot read {}", kept.display()))?;
    write(&serde_json::from_slice(&text)?, &folder)
}

fn write(results: &Results, folder: &Path) -> Result<()> {
    let save = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    save(RAW, &serde_json::to_vec_pretty(results)?)?;
    save(PAGE, page::page(results).as_bytes())?;
    println!("{}", page::targets(results));
    println!("The whole report: {}", folder.join(PAGE).display());
    Ok(())
}

/// What has been begun and has to be done yet.
struct Program<'a> {
    bed: Bed,
    options: &'a Options,
    audit: AuditLog,
    /// There is always one but while another takes its place.
    operator: Option<Operator>,
    template: Value,
    results: Results,
    out: PathBuf,
}

impl<'a> Program<'a> {
    /// Starts an operator and warms everything up.
    async fn begin(
        mut bed: Bed,
        options: &'a Options,
        mut results: Results,
        out: PathBuf,
    ) -> Result<Self> {
        results.versions = bed::versions(&bed.client).await?;
        let mut audit = bed.audit_log()?;
        let operator = bed.operator(&Variant::default()).await?;
        let mut warm_up = Task {
            arm: Arm::EtlJobs,
            variant: "warm-up",
            jobs: WARM_UP,
            load: Load::Saturation,
            template: &Value::Null,
        };
        let namespace = race(&mut bed, &operator, &mut audit, warm_up)
            .await?
            .namespace;
        let template = subject::template(&bed.client, &namespace).await?;
        warm_up.arm = Arm::Jobs;
        warm_up.template = &template;
        race(&mut bed, &operator, &mut audit, warm_up).await?;
        Ok(Self {
            bed,
            options,
            audit,
            operator: Some(operator),
            template,
            results,
            out,
        })
    }

    async fn everything(&mut self) -> Result<()> {
        for jobs in self.options.jobs() {
            for _ in 0..self.options.rounds() {
                self.both(jobs, Load::Saturation).await?;
            }
        }
        self.half_load().await?;
        for variant in self.options.variants() {
            self.variant(&variant).await?;
        }
        if self.options.crowd() > 0 {
            self.both(self.options.crowd(), Load::Saturation).await?;
        }
        self.restart().await?;
        if self.options.objects() > 0 {
            let operator = self.operator.as_ref().context("an operator runs")?;
            let growth = rest::grow(&mut self.bed, operator, self.options.objects()).await?;
            self.results.growths.push(growth);
            self.restart().await?;
        }
        Ok(())
    }

    /// Interleaved, so that whatever disturbs the machine disturbs both.
    async fn both(&mut self, jobs: usize, load: Load) -> Result<()> {
        for arm in [Arm::Jobs, Arm::EtlJobs] {
            self.one(arm, DEFAULTS, jobs, load).await?;
        }
        Ok(())
    }

    async fn half_load(&mut self) -> Result<()> {
        let jobs = *self.options.jobs().first().context("no number of jobs")?;
        let ceiling = self.results.saturation(Arm::Jobs, jobs);
        let per_second = ceiling.context("there is no ceiling")? / 60.0 / 2.0;
        for _ in 0..self.options.rounds() {
            self.both(jobs, Load::Half { per_second }).await?;
        }
        Ok(())
    }

    async fn one(&mut self, arm: Arm, variant: &str, jobs: usize, load: Load) -> Result<()> {
        let task = Task {
            arm,
            variant,
            jobs,
            load,
            template: &self.template,
        };
        let operator = self.operator.as_ref().context("an operator runs")?;
        let run = race(&mut self.bed, operator, &mut self.audit, task).await?;
        self.results.runs.push(run);
        self.keep()
    }

    /// Another setting, between two runs of the defaults.
    async fn variant(&mut self, variant: &Variant) -> Result<()> {
        let jobs = *self.options.jobs().first().context("no number of jobs")?;
        for _ in 0..self.options.rounds() {
            self.replace(variant).await?;
            self.one(Arm::EtlJobs, &variant.name, jobs, Load::Saturation)
                .await?;
            self.replace(&Variant::default()).await?;
            self.one(Arm::EtlJobs, DEFAULTS, jobs, Load::Saturation)
                .await?;
        }
        Ok(())
    }

    async fn replace(&mut self, variant: &Variant) -> Result<()> {
        if let Some(operator) = self.operator.take() {
            operator.stop().await?;
        }
        self.operator = Some(self.bed.operator(variant).await?);
        Ok(())
    }

    async fn restart(&mut self) -> Result<()> {
        let operator = self.operator.take().context("an operator runs")?;
        let (operator, rest) = rest::restart(&mut self.bed, operator, &mut self.audit).await?;
        self.operator = Some(operator);
        self.results.rests.push(rest);
        self.keep()
    }

    /// Whatever happens later, this much is kept.
    fn keep(&self) -> Result<()> {
        fs::create_dir_all(&self.out)?;
        let path = self.out.join(RAW);
        fs::write(&path, serde_json::to_vec_pretty(&self.results)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn end(self) -> Result<Results> {
        drop(self.operator);
        self.bed.site.stop()?;
        Ok(self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_a_name_and_settings() {
        let parsed = variant("wide:ETL_A=1,ETL_B=x=y").unwrap();
        assert_eq!(parsed.name, "wide");
        assert_eq!(parsed.env["ETL_A"], "1");
        assert_eq!(parsed.env["ETL_B"], "x=y");
        assert!(variant("wide").is_err());
        assert!(variant("wide:ETL_A").is_err());
    }
}
