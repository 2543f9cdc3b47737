"""Found only where the KFP SDK is not installed: the SDK has a package of this name, which Python prefers."""

from standpipe.kfp_compat.missing_sdk import make_import_error

raise make_import_error(__name__)
