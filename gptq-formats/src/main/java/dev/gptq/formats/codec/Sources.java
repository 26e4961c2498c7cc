package dev.gptq.formats.codec;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * How checkpoints store weights that were not quantized for the sake of size, but made or trained
 * in few bits: as 8-bit numbers with scales, or as MXFP4. They are the source of a quantization as
 * bfloat16 is, and seen as float32 or bfloat16, whichever holds them without rounding.
 *
 * @param scaled whether every matrix of 8-bit numbers must have a scale
 * @param block rows and columns that share a scale, where the configuration says so
 */
public record Sources(boolean scaled, Optional<ImmutableList<Integer>> block) {
  private static final String KEY = "quantization_config";
  private static final ImmutableSet<String> METHODS = ImmutableSet.of("fp8", "fbgemm_fp8", "mxfp4");
  private static final ImmutableSet<String> FORMATS =
      ImmutableSet.of("float-quantized", "naive-quantized");

  /** Names that scales have behind the name of their matrix. */
  private static final ImmutableList<String> SCALES = ImmutableList.of("_scale_inv", "_scale");

  /** Scales of activations, below the module, which mean nothing once weights are decoded. */
  private static final ImmutableList<String> ACTIVATION_SCALES =
      ImmutableList.of("input_scale", "activation_scale", "output_scale");

  /** A checkpoint that says nothing. */
  public static final Sources PLAIN = new Sources(false, Optional.empty());

  /** What a configuration says; empty if nothing, or that the model is quantized otherwise. */
  public static Optional<Sources> find(JsonConfig config) {
    Optional<JsonConfig> section =
        config
            .section(KEY)
            .or(() -> config.section("text_config").flatMap(text -> text.section(KEY)));
    return section
        .filter(Sources::isSource)
        .map(s -> new Sources(!s.stringValue("quant_method", "").equals("mxfp4"), block(s)));
  }

  private static boolean isSource(JsonConfig section) {
    String method = section.stringValue("quant_method", "");
    return METHODS.contains(method)
        || (method.equals("compressed-tensors")
            && FORMATS.contains(section.stringValue("format", "")))
        || (method.equals("modelopt") && section.stringValue("quant_algo", "").equals("FP8"));
  }

  private static Optional<ImmutableList<Integer>> block(JsonConfig section) {
    ImmutableList<Integer> named = section.intList("weight_block_size");
    if (!named.isEmpty()) {
      return Optional.of(checked(section, named));
    }
    // compressed-tensors: config_groups.NAME.weights.block_structure
    return section.section("config_groups").stream()
        .flatMap(groups ->
            groups.json().propertyNames().stream().flatMap(n -> groups.section(n).stream()))
        .flatMap(group -> group.section("weights").stream())
        .filter(weights -> weights.find("block_structure").filter(JsonNode::isArray).isPresent())
        .map(weights -> checked(section, weights.intList("block_structure")))
        .findFirst();
  }

  private static ImmutableList<Integer> checked(JsonConfig section, ImmutableList<Integer> block) {
    if (block.size() != 2 || block.stream().anyMatch(size -> size < 1)) {
      throw new BadInputException(
          "%s: blocks of %s are none; two positive numbers are expected"
              .formatted(section.file(), block));
    }
    return block;
  }

  /**
   * A checkpoint as if its matrices of 8-bit numbers were float32, and those of two numbers a byte
   * bfloat16; their scales are not seen, nor those of the activations of their modules.
   */
  public Checkpoint decoded(Checkpoint checkpoint) {
    Map<String, StoredTensor> decoded = new LinkedHashMap<>();
    Set<String> spent = new HashSet<>();
    for (String name : checkpoint.names()) {
      StoredTensor stored = checkpoint.require(name);
      Optional<StoredTensor> powers =
          scale(checkpoint, name).filter(scale -> Mxfp4.isMatrix(stored, scale));
      if (powers.isPresent()) {
        decoded.put(name, Mxfp4.decode(stored, powers.get()));
        spent.add(powers.get().name());
      } else if (Float8.is(stored) && stored.shape().size() == 2) {
        decoded.put(name, matrix(stored, scale(checkpoint, name)));
        scale(checkpoint, name).map(StoredTensor::name).ifPresent(spent::add);
        spent.addAll(activationScales(name));
      } else {
        decoded.put(name, stored);
      }
    }
    if (spent.isEmpty()) {
      return checkpoint;
    }
    decoded.keySet().removeAll(spent);
    return checkpoint.seenAs(ImmutableMap.copyOf(decoded));
  }

  /** The matrix of 8-bit numbers and their scale as float32. */
  public StoredTensor matrix(StoredTensor codes, Optional<StoredTensor> scale) {
    if (scaled && scale.isEmpty()) {
      throw new BadInputException(
          "%s: tensor %s has no scale, '%s' or '%s'; download the checkpoint again"
              .formatted(
                  codes.file(),
                  codes.describe(),
                  codes.name() + SCALES.getFirst(),
                  codes.name() + SCALES.getLast()));
    }
    return Float8.decode(codes, scale, block);
  }

  /** The scale of a tensor, if it has one. */
  public static Optional<StoredTensor> scale(Checkpoint checkpoint, String name) {
    return Stream.concat(
            SCALES.stream().map(end -> name + end),
            Stream.of(name.replaceFirst("\\.weight$", ".scale")))
        .filter(scale -> !scale.equals(name))
        .flatMap(scale -> checkpoint.find(scale).stream())
        .findFirst();
  }

  /** Names of the scales of activations beside a tensor. */
  public static ImmutableList<String> activationScales(String name) {
    String module = name.substring(0, name.lastIndexOf('.') + 1);
    return ACTIVATION_SCALES.stream()
        .map(end -> module + end)
        .collect(ImmutableList.toImmutableList());
  }
}
