use super::*;

fn args() -> RunArgs {
    RunArgs {
        cluster_id: Some("prod".into()),
        worker_image: Some("worker:1".into()),
        ..RunArgs::default()
    }
}

fn refusal(args: RunArgs) -> String {
    Config::try_from(args).unwrap_err().to_string()
}

#[test]
fn an_empty_value_is_an_unset_one() {
    let config = Config::try_from(RunArgs {
        ledger_table: Some(String::new()),
        worker_service_account: Some(" ".into()),
        worker_resources: Some(String::new()),
        listen: Some(String::new()),
        ..args()
    })
    .unwrap();
    assert_eq!(config.ledger, None);
    assert!(!config.settings.ledger);
    assert_eq!(
        config.settings.worker.service_account_name.as_deref(),
        Some("etl-worker")
    );
    assert_eq!(config.settings.worker.resources, None);
    assert_eq!(config.listen, DEFAULT_LISTEN);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let cases = [
        (
            RunArgs {
                cluster_id: Some(String::new()),
                ..args()
            },
            "ETL_CLUSTER_ID",
        ),
        (
            RunArgs {
                cluster_id: Some("a/b".into()),
                ..args()
            },
            "ETL_CLUSTER_ID",
        ),
        (
            RunArgs {
                worker_image: None,
                ..args()
            },
            "ETL_WORKER_IMAGE",
        ),
        (
            RunArgs {
                worker_image_pull_policy: Some("Daily".into()),
                ..args()
            },
            "Daily",
        ),
        (
            RunArgs {
                worker_tolerations: Some("{}".into()),
                ..args()
            },
            "ETL_WORKER_TOLERATIONS",
        ),
        (
            RunArgs {
                worker_resources: Some("x".into()),
                ..args()
            },
            "ETL_WORKER_RESOURCES",
        ),
        (
            RunArgs {
                worker_encoder: Some("reference".into()),
                ..args()
            },
            "ETL_WORKER_ENCODER",
        ),
        (
            RunArgs {
                listen: Some("8080".into()),
                ..args()
            },
            "ETL_LISTEN",
        ),
        (
            RunArgs {
                log_format: Some("xml".into()),
                ..args()
            },
            "ETL_LOG_FORMAT",
        ),
        (
            RunArgs {
                ledger_write_burst: Some("0".into()),
                ..args()
            },
            "ETL_LEDGER_WRITE_BURST",
        ),
        (
            RunArgs {
                log: Some("a=b=c".into()),
                ..args()
            },
            "ETL_LOG",
        ),
    ];
    for (args, named) in cases {
        let text = refusal(args);
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn values_in_json_are_taken_over() {
    let config = Config::try_from(RunArgs {
        worker_resources: Some(r#"{"limits":{"memory":"1Gi","cpu":2}}"#.into()),
        worker_node_selector: Some(r#"{"pool":"etl"}"#.into()),
        worker_tolerations: Some(r#"[{"key":"etl","operator":"Exists"}]"#.into()),
        watch_namespaces: Some("b, a,,b".into()),
        ledger_table: Some("etl-jobs".into()),
        ledger_writes_per_second: Some("20".into()),
        ledger_repair_interval_seconds: Some("600".into()),
        aws_region: Some("eu-west-1".into()),
        ..args()
    })
    .unwrap();
    let worker = &config.settings.worker;
    assert!(
        worker
            .resources
            .as_ref()
            .unwrap()
            .limits
            .as_ref()
            .unwrap()
            .memory
            .is_some()
    );
    assert_eq!(worker.node_selector["pool"], "etl");
    assert_eq!(worker.tolerations[0].key.as_deref(), Some("etl"));
    assert_eq!(config.namespaces, ["a", "b"]);
    let ledger = config.ledger.unwrap();
    assert_eq!(ledger.region.as_deref(), Some("eu-west-1"));
    let allowance = (ledger.allowance.per_second, ledger.allowance.burst);
    assert_eq!(allowance, (20, 400));
    assert_eq!(ledger.repair_interval.as_secs(), 600);
}

#[test]
fn a_lease_needs_a_namespace() {
    let leased = |namespace: Option<&str>| RunArgs {
        lease_name: Some("etl-operator".into()),
        pod_namespace: namespace.map(Into::into),
        ..args()
    };
    assert!(refusal(leased(None)).contains("POD_NAMESPACE is not set"));
    let config = Config::try_from(leased(Some("etl-system"))).unwrap();
    assert_eq!(
        config.lease,
        Some(LeaseConfig {
            name: "etl-operator".into(),
            namespace: "etl-system".into(),
        })
    );
    assert_eq!(Config::try_from(args()).unwrap().lease, None);
}

#[test]
fn processes_without_a_name_are_told_apart() {
    let instance = || Config::try_from(args()).unwrap().instance;
    assert_ne!(instance(), instance());
}

#[test]
fn people_read_a_terminal_and_programs_everything_else() {
    for (value, terminal, expected) in [
        (None, true, LogFormat::Text),
        (None, false, LogFormat::Json),
        (Some("json"), true, LogFormat::Json),
        (Some("text"), false, LogFormat::Text),
    ] {
        assert_eq!(log_format(value, terminal).unwrap(), expected);
    }
}

#[test]
fn the_budget_and_the_passes_can_be_set() {
    let set = |requests: &str, burst: &str, concurrency: &str| {
        Config::try_from(RunArgs {
            cluster_id: Some("test".into()),
            worker_image: Some("worker:1".into()),
            api_requests_per_second: Some(requests.into()),
            api_burst: Some(burst.into()),
            concurrency: Some(concurrency.into()),
            ..RunArgs::default()
        })
    };
    let config = set("50", "100", "4").unwrap();
    assert_eq!((config.api.per_second, config.api.burst), (50.0, 100));
    assert_eq!(config.concurrency, 4);
    let config = set("", "", "").unwrap();
    assert_eq!((config.api.per_second, config.api.burst), (500.0, 1000));
    assert_eq!(config.concurrency, 16);
    for (requests, burst, concurrency, variable) in [
        ("0", "1", "1", "ETL_API_REQUESTS_PER_SECOND"),
        ("1", "many", "1", "ETL_API_BURST"),
        ("1", "1", "-1", "ETL_CONCURRENCY"),
    ] {
        let error = set(requests, burst, concurrency).unwrap_err();
        assert!(error.to_string().starts_with(variable), "{error}");
    }
}
