"""Reading YAML files of options: every name once, and one clear sentence for what cannot be read."""

from pathlib import Path

import yaml

from runtime.errors import InputError


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file. Raises `InputError` when it cannot be read or is no mapping."""
    try:
        text = path.read_text()
        _check_names(path, yaml.compose(text, Loader=yaml.SafeLoader))
        values = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (ValueError, LookupError, AttributeError) as error:  # of a value, PyYAML raises whatever its parsing does
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} has a value of a form that it does not fill, such as the date 2024-02-30 ({reason}); put texts in "
            "quotes"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds {type(values).__name__}, expected options as 'name: value' lines")
    return {str(name): value for name, value in values.items()}


def _check_names(path: Path, node: yaml.Node | None) -> None:
    """Raise `InputError` for a name that is there twice: YAML takes the last, without a word."""
    lines: dict[object, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        _check_names(path, value)
        if not isinstance(key, yaml.ScalarNode):
            continue  # a mapping or list, which is no name: PyYAML says so
        line = key.start_mark.line + 1
        if key.value in lines:
            raise InputError(f"{path} has {key.value} twice, in lines {lines[key.value]} and {line}; keep one of them")
        lines[key.value] = line
