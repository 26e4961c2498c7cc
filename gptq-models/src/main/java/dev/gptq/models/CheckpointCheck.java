package dev.gptq.models;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.Parameters.Parameter;
import dev.gptq.models.tokenizer.TokenizerSource;
import dev.gptq.tensor.DType;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Holds a checkpoint against the description of its model, before anything is computed with it:
 * every tensor that will be read is there, of a type that can be read and of the shape that {@code
 * config.json} gives it; a packed module has the parts and shapes that its settings ask for. Token
 * ids outside the embedding and tensors that no step reads, such as towers, are odd and no more.
 * Reads headers and {@code tokenizer.json} only.
 */
final class CheckpointCheck {
  /** What checkpoints hold beside weights: tables that can be computed, masks. */
  private static final ImmutableList<String> BUFFERS =
      ImmutableList.of(".inv_freq", ".act_fn.eps", ".masked_bias", ".attn.bias", ".attention.bias");

  private final ModelConfig config;
  private final DecoderSpec spec;
  private final Optional<PackedModules> quantization;
  private final Checkpoint checkpoint;
  private final Set<String> used = new LinkedHashSet<>();

  private CheckpointCheck(
      ModelConfig config,
      DecoderSpec spec,
      Optional<PackedModules> quantization,
      Checkpoint checkpoint) {
    this.config = config;
    this.spec = spec;
    this.quantization = quantization;
    this.checkpoint = checkpoint;
  }

  /**
   * Checks all of it.
   *
   * @return what is odd but does no harm
   * @throws BadInputException for the first thing that is wrong: file, tensor, remedy
   */
  static ImmutableList<String> check(
      Optional<TokenizerSource> tokenizer,
      ModelConfig config,
      DecoderSpec spec,
      Optional<PackedModules> quantization,
      Checkpoint checkpoint)
      throws IOException {
    CheckpointCheck check = new CheckpointCheck(config, spec, quantization, checkpoint);
    Parameters.of(spec).tensors().forEach(check::check);
    check.refuseFurtherBlock();
    return Stream.concat(check.warnings().stream(), check.tokensWithoutRow(tokenizer).stream())
        .collect(ImmutableList.toImmutableList());
  }

  /** A fine-tune may have added tokens and never resized the model; its other tokens are sound. */
  private Optional<String> tokensWithoutRow(Optional<TokenizerSource> tokenizer)
      throws IOException {
    return tokenizer.isPresent()
        ? tokenizer.get().vocabulary().oddity(spec.vocabulary())
        : Optional.empty();
  }

  private void check(String name, Parameter parameter) {
    if (parameter.linear().isPresent()) {
      String module = Parameters.module(name);
      if (quantization.filter(modules -> modules.has(module)).isPresent()) {
        checkPacked(quantization.get(), module, parameter.linear().get());
        return;
      }
      refusePacked(module);
    }
    StoredTensor stored = checkpoint.require(name);
    used.add(name);
    if (stored.type().toDType().filter(DType::isReal).isEmpty()) {
      throw new BadInputException(
          "%s: tensor %s has dtype %s; weights must be F64, F32, F16, BF16 or F8: convert the checkpoint"
              .formatted(stored.file(), name, stored.type()));
    }
    if (!fits(stored.shape(), parameter)) {
      throw new BadInputException(
          "%s: tensor %s has shape %s but %s makes it %s; is one of the two of another model?"
              .formatted(stored.file(), name, stored.shape(), config.file(), parameter.shape()));
    }
  }

  /** Vectors and tables are read as rows of numbers, whatever dimensions of one they have. */
  private static boolean fits(List<Long> shape, Parameter parameter) {
    return parameter.linear().isPresent()
        ? shape.equals(parameter.shape())
        : withoutOnes(shape).equals(withoutOnes(parameter.shape()));
  }

  private static ImmutableList<Long> withoutOnes(List<Long> shape) {
    return shape.stream().filter(size -> size != 1).collect(ImmutableList.toImmutableList());
  }

  private void checkPacked(PackedModules modules, String module, LinearSpec linear) {
    modules.check(module, linear.outputs(), linear.inputs());
    for (String part : modules.format().parts()) {
      used.add(module + "." + part);
    }
    used.add(module + ".bias");
  }

  private void refusePacked(String module) {
    if (Formats.isPacked(checkpoint, module)) {
      throw new BadInputException(
          "%s: module %s is packed, but neither config.json nor a file beside it says how; copy them"
                  .formatted(checkpoint.folder(), module)
              + " from where the checkpoint comes from");
    }
  }

  /** A checkpoint with one block more, whole, is of another config.json. */
  private void refuseFurtherBlock() {
    if (config.text().intBetween("num_nextn_predict_layers", 0, Integer.MAX_VALUE, 0) > 0) {
      return;
    }
    BlockSpec last = spec.blocks().getLast();
    String tail = (spec.blocks().size() - 1) + ".";
    if (!last.prefix().endsWith("." + tail) && !last.prefix().equals(tail)) {
      return;
    }
    String stem = last.prefix().substring(0, last.prefix().length() - tail.length());
    BlockSpec next = new BlockSpec(stem + spec.blocks().size() + ".", last.steps());
    boolean whole =
        Parameters.of(next).tensors().entrySet().stream().allMatch(entry -> isThere(entry));
    if (whole && !last.steps().isEmpty()) {
      throw new BadInputException(
          "%s makes the model %d blocks deep, but %s holds all tensors of %s as well; is one of the"
                  .formatted(
                      config.file(), spec.blocks().size(), checkpoint.folder(), next.prefix())
              + " two of another model?");
    }
  }

  private boolean isThere(Map.Entry<String, Parameter> entry) {
    return checkpoint.find(entry.getKey()).isPresent()
        || (entry.getValue().linear().isPresent()
            && Formats.isPacked(checkpoint, Parameters.module(entry.getKey())));
  }

  private ImmutableList<String> warnings() {
    List<String> unused = new ArrayList<>();
    for (String name : checkpoint.names()) {
      boolean tiedHead = name.equals("lm_head.weight");
      if (!used.contains(name) && !tiedHead && BUFFERS.stream().noneMatch(name::endsWith)) {
        unused.add(name);
      }
    }
    if (unused.isEmpty()) {
      return ImmutableList.of();
    }
    return ImmutableList.of(
        unused.size()
            + " of "
            + checkpoint.names().size()
            + " tensors are not part of the model as "
            + config.file()
            + " describes it and are left alone: "
            + String.join(", ", unused.subList(0, Math.min(3, unused.size())))
            + (unused.size() > 3 ? ", …" : ""));
  }
}
