"""What fal 1.83.0 knows by name: settings, methods, regions and exports, read from its source."""

FAL_VERSION = "1.83.0"


def named(words: str) -> frozenset[str]:
    """Return the words of *words*."""
    return frozenset(words.split())


# `fal.App` as class attributes. The last three are what `__init_subclass__` takes over from
# `host_kwargs`, and `isolate_channel` and `local_file_path` are internal.
SETTINGS = named(
    """requirements requirements_context_dir local_python_modules machine_type num_gpus regions
    host_kwargs app_name app_auth app_files app_files_ignore app_files_context_dir request_timeout
    request_start_timeout startup_timeout metrics_port min_concurrency max_concurrency
    concurrency_buffer concurrency_buffer_perc scaling_delay max_multiplexing kind image
    local_file_path skip_retry_conditions retry_config termination_grace_period_seconds secrets
    data_mounts keep_alive resolver version isolate_channel _scheduler _scheduler_options"""
)
# What `fal.wma.App` adds.
WMA_SETTINGS = frozenset({"billing_debug", "minimum_billable_units", "realtime_contract"})
# Read from the class statement alone; as an attribute they are ignored (run).
KEYWORD_ONLY = frozenset({"python_version", "private_logs", "compile_bytecode", "force"})
# Read from the class body alone; as a keyword the deploy ends in a TypeError, since they are
# passed on twice, or in "Unrecognised option" (both run).
ATTRIBUTE_ONLY = frozenset(
    {
        "machine_type", "num_gpus", "requirements", "regions", "local_python_modules", "app_auth",
        "app_name", "image", "host_kwargs",
    }
)  # fmt: skip
KEYWORDS = KEYWORD_ONLY | named(
    """name kind keep_alive max_concurrency min_concurrency concurrency_buffer
    concurrency_buffer_perc scaling_delay max_multiplexing setup_function request_timeout
    request_start_timeout startup_timeout metrics_port _base_image _scheduler _scheduler_options
    app_files app_files_ignore app_files_context_dir health_check_config skip_retry_conditions
    retry_config termination_grace_period_seconds secrets data_mounts requirements_context_dir
    resolver machine_types"""
)
# Attributes that other platforms or earlier guides use; fal ignores each of them in silence.
MISTAKEN = {
    "volumes": "/data is always mounted and shared by the account's apps; "
    "data_mounts = [...] narrows it",
    "name": "app_name names the app",
    "gpu": 'machine_type = "GPU-H100" names the machine',
    "gpus": "num_gpus counts them",
    "machine": "machine_type names the machine",
    "instance_type": "machine_type names the machine",
    "concurrency": "max_concurrency counts runners, max_multiplexing requests in one runner",
    "min_containers": "min_concurrency keeps runners warm",
    "max_containers": "max_concurrency caps the runners",
    "min_replicas": "min_concurrency keeps runners warm",
    "max_replicas": "max_concurrency caps the runners",
    "timeout": "request_timeout is in seconds",
    "idle_timeout": "keep_alive is in seconds",
    "scaledown_window": "keep_alive is in seconds",
    "auth": 'app_auth = "private", "public" or "shared"',
    "pip_packages": "requirements lists packages",
    "dependencies": "requirements lists packages",
    "packages": "requirements lists packages",
    "env": "secrets = [...] and `fal secrets set` bring values from outside",
    "env_vars": "secrets = [...] and `fal secrets set` bring values from outside",
    "termination_grace_period": "termination_grace_period_seconds is its name",
}
# Attributes of `fal.App` that an endpoint method of the same name would replace (run).
RESERVED = SETTINGS | named(
    """serve openapi spawn run_local lifespan collect_routes build_metadata current_request
    get_endpoints provide_hints get_health_check_config get_billing_components handle_exit setup
    teardown"""
)
# The part of them that an app is meant to write itself.
HOOKS = frozenset({"setup", "teardown", "handle_exit", "provide_hints", "health", "lifespan"})

REGIONS = ("us-west", "us-central", "us-east", "eu-north", "eu-west")
AUTH_MODES = ("private", "public", "shared")
RETRY_CONDITIONS = ("timeout", "server_error", "connection_error")

# Least and greatest whole number of each scale setting; None where fal states no upper bound.
BOUNDS: dict[str, tuple[int, int | None]] = {
    "num_gpus": (1, 8),
    "keep_alive": (0, None),
    "min_concurrency": (0, None),
    "max_concurrency": (1, None),
    "max_multiplexing": (1, None),
    "concurrency_buffer": (0, None),
    "concurrency_buffer_perc": (0, None),
    "scaling_delay": (0, None),
    "startup_timeout": (1, None),
    "request_timeout": (1, None),
    "request_start_timeout": (0, None),
    "termination_grace_period_seconds": (0, None),
    "metrics_port": (0, 65_535),
    "exposed_port": (0, 65_535),
}

# Names that once were, or that guides invented, with what stands for them now.
GONE = {
    "fal.Volume": "/data is always mounted; data_mounts = [...] narrows it",
    "fal.upload_file": "return a fal.toolkit.File or Image, or use fal_client.upload_file",
    "fal.upload": "return a fal.toolkit.File or Image, or use fal_client.upload_file",
    "fal.list": "`fal apps list` on the command line",
    "fal.Secret": 'secrets = ["NAME"] and `fal secrets set NAME=...`',
    "fal.secret": 'secrets = ["NAME"] and `fal secrets set NAME=...`',
    "fal.Image": "fal.toolkit.Image",
    "fal.File": "fal.toolkit.File",
    "fal.subscribe": "fal_client.subscribe",
    "fal.run": "fal_client.run",
    "fal.submit": "fal_client.submit",
    "fal.deploy": "`fal deploy` on the command line",
    "fal.setup": "a method named setup needs no decorator",
    "fal.AppClient": "fal.app.AppClient.connect(MyApp)",
    "fal.toolkit.optimize": "torch.compile in setup(); fal removed its helper in March 2026",
    "fal.toolkit.upload_image": "fal.toolkit.Image.from_pil(picture)",
    "fal.toolkit.upload_file": "fal.toolkit.File.from_path(path)",
}
FAL_NAMES = named(
    """App BillingComponents BillingDeclaration ContainerImage FalServerlessHost
    FalServerlessKeyCredentials HealthCheck LocalHost api app app_files apps auth cached cli cloud
    compat config console container distributed endpoint exceptions file_sync files flags function
    isolated local logging project realtime ref sdk serverless sync sync_dir toolkit upload utils
    version_tuple wma workflows wrap_app"""
)
TOOLKIT_NAMES = named(
    """Audio AudioField CompressedFile DownloadError FAL_MODEL_WEIGHTS_DIR FAL_PERSISTENT_DIR
    FAL_REPOSITORY_DIR FalBaseModel FalTookitException Field File FileField FileUploadException
    Hidden Image ImageField ImageSizeConstraints ImageSizeField ImageSizeInput
    ImageValidationConfig ImageValidationOptions KVStore KVStoreException Video VideoField
    VideoNormalizationConfig VideoValidationConfig VideoValidationOptions audio clone_repository
    compilation constraints download_file download_model_weights exceptions file get_gpu_type
    get_image_size image kv load_inductor_cache pydantic sync_inductor_cache
    synchronized_inductor_cache to_xfal utils video types"""
)
# The same thing under the module that defines it.
SAME = {
    "fal.app.App": "fal.App",
    "fal.app.endpoint": "fal.endpoint",
    "fal.app.realtime": "fal.realtime",
    "fal.realtime.realtime": "fal.realtime",
    "fal.api.function": "fal.function",
    "fal.api.api.function": "fal.function",
    "fal.isolated": "fal.function",
    "fal.wma.sdk.App": "fal.wma.App",
    "fal.sdk.HealthCheck": "fal.HealthCheck",
    "fal.container.ContainerImage": "fal.ContainerImage",
}

# `[tool.fal.apps.<name>]` of a pyproject.toml; fal refuses any other key.
TOML_KEYS = named(
    """ref python_entry_point image name auth team deployment_strategy app_scale_settings no_scale
    requirements requirements_context_dir python_version machine_type num_gpus regions keep_alive
    min_concurrency max_concurrency max_multiplexing concurrency_buffer concurrency_buffer_perc
    scaling_delay request_timeout request_start_timeout startup_timeout private_logs app_files
    app_files_ignore app_files_context_dir exposed_port metrics_port skip_retry_conditions
    retry_config termination_grace_period_seconds secrets data_mounts health_check _scheduler
    _scheduler_options"""
)
