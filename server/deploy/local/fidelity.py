"""What of the cloud is not so on this machine: in general, and of one app's settings."""

from tools.deploy_records import AppSettings

FIDELITY = (
    "no GPU, and no container image",
    "runners end with the falkit process that holds them; `falkit emulate` holds them for long",
    "/data is a folder of the app's own on this machine; data_mounts and KVStore are not there",
    "without network unless it was deployed with it: downloads in setup() fail then",
    "regions change nothing",
    "anybody with access to this account's files may call it; any well-formed key is accepted",
)


def unlike_here(settings: AppSettings) -> tuple[str, ...]:
    """Return what of *settings* has no effect on this machine, each as a person is told before."""
    if not settings.regions:
        return ()
    return (f"regions ({', '.join(settings.regions)}) change nothing: it runs on this machine",)
