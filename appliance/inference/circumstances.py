"""What must be the same for a speed that was measured once to be a model's speed still."""

import hashlib
import json
from pathlib import Path

from appliance.config import Settings
from appliance.inference import golden
from appliance.inference.engine import Loaded
from appliance.inference.load_settings import LoadSettings
from appliance.inference.manifest import Manifest
from appliance.inference.terms import terms_of


def circumstances(manifest: Manifest, folder: Path, settings: Settings, wish: LoadSettings) -> str:
    """A digest over engine build, kind of CPU, what to compute on, files, adapter, and how the model is loaded."""
    terms = terms_of(manifest, folder, settings, wish)
    spec = terms.spec
    # Of a model that is not loaded only what it should compute on is known.
    under = golden.surroundings(manifest, spec, Loaded(spec.provider, spec.context))
    loaded = [terms.places, spec.threads, spec.context, spec.speculation, spec.template, spec.projector, spec.pooling]
    return hashlib.sha256(json.dumps([under.model_dump(), loaded]).encode()).hexdigest()[:32]
