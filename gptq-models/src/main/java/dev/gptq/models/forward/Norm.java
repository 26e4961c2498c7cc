package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.NormSpec;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * A normalisation with its parameters.
 *
 * @param gain 1 × gains·size; ones if none are stored
 * @param bias 1 × gains·size; zeros if none are stored
 */
record Norm(NormSpec spec, Tensor gain, Tensor bias) {

  static Norm load(WeightSource source, String name, NormSpec spec, TensorScope scope) {
    int size = spec.gains() * spec.size();
    Tensor gain =
        spec.kind().hasGain()
            ? source.gains(name + ".weight", spec, scope)
            : source.constant(size, 1, scope);
    if (spec.kind().isLessByOne()) {
      source.addOne(gain);
    }
    Tensor bias =
        spec.kind().hasBias()
            ? source.vector(name + ".bias", size, scope)
            : source.constant(size, 0, scope);
    return new Norm(spec, gain, bias);
  }

  /** The gradient dx of the input x from dy, that of the result; dx may be dy. */
  void back(Backend backend, Tensor x, Tensor dy, Tensor dx) {
    int size = spec.size();
    if (!spec.kind().isCentred() && spec.gains() == 1) {
      backend.gradients().rmsNormGradient(x, gain, spec.epsilon(), dy, dx);
      return;
    }
    for (int from = 0; from < x.columns(); from += size) {
      int own = from % gain.columns();
      Tensor in = x.columns(from, from + size);
      Tensor d = dy.columns(from, from + size);
      Tensor out = dx.columns(from, from + size);
      Tensor g = gain.columns(own, own + size);
      if (spec.kind().isCentred()) {
        backend.gradients().layerNormGradient(in, g, spec.epsilon(), d, out);
      } else {
        backend.gradients().rmsNormGradient(in, g, spec.epsilon(), d, out);
      }
    }
  }

  void apply(Backend backend, Tensor x, Tensor y) {
    int size = spec.size();
    if (!spec.kind().isCentred() && spec.gains() == 1) {
      backend.transformer().rmsNorm(x, gain, spec.epsilon(), y);
      return;
    }
    for (int from = 0; from < x.columns(); from += size) {
      int own = from % gain.columns();
      Tensor in = x.columns(from, from + size);
      Tensor out = y.columns(from, from + size);
      Tensor g = gain.columns(own, own + size);
      if (spec.kind().isCentred()) {
        Tensor b = bias.columns(own, own + size);
        backend.transformer().layerNorm(in, g, b, spec.epsilon(), out);
      } else {
        backend.transformer().rmsNorm(in, g, spec.epsilon(), out);
      }
    }
  }
}
