package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.NormSpec;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/** A normalisation with its parameters. */
record Norm(NormSpec spec, Tensor gain, Optional<Tensor> bias) {

  static Norm load(WeightSource source, String name, NormSpec spec, TensorScope scope) {
    Tensor gain = source.vector(name + ".weight", spec.size(), scope);
    return switch (spec.kind()) {
      case RMS -> new Norm(spec, gain, Optional.empty());
      case RMS_PLUS_ONE -> {
        source.addOne(gain);
        yield new Norm(spec, gain, Optional.empty());
      }
      case LAYER ->
          new Norm(spec, gain, Optional.of(source.vector(name + ".bias", spec.size(), scope)));
    };
  }

  void apply(Backend backend, Tensor x, Tensor y) {
    switch (spec.kind()) {
      case RMS, RMS_PLUS_ONE -> backend.transformer().rmsNorm(x, gain, spec.epsilon(), y);
      case LAYER -> backend.transformer().layerNorm(x, gain, bias.orElseThrow(), spec.epsilon(), y);
    }
  }
}
