package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/** A way to write quantized modules into the safetensors of a checkpoint. */
public interface Format {
  /** Significant bits that float16 and bfloat16 both have. */
  int BOTH_TYPES = 8;

  /** Its name on the command line. */
  String id();

  /**
   * Why it cannot hold a module of that shape, as the end of a sentence that begins with the
   * format's name; empty if it can.
   */
  Optional<String> refusal(ModuleSettings settings, int rows, int columns);

  /** Whether it holds modules that differ in bits or groups from each other. */
  default boolean holdsMixedSettings() {
    return true;
  }

  /** The least zero point that it holds. */
  default int leastZero() {
    return 0;
  }

  /**
   * Significant bits of a scale with which nothing is lost by what readers do with a grid of that
   * width: 8, since they take scales as float16 or bfloat16, whichever the model runs in.
   */
  default int scaleBits(int bits, boolean sym) {
    return BOTH_TYPES;
  }

  /**
   * The tensors that stand for a module. Its codes, scales and zero points are kept bit for bit.
   * Throws {@link dev.gptq.formats.BadInputException} where the format cannot hold one of them.
   */
  ImmutableList<StoredTensor> encode(PackedModule module);

  /**
   * Where the format keeps an expert that is stacked with the others of its layer; empty for a
   * module that has tensors of its own.
   *
   * @param modelType the family, as {@code model_type} of its configuration
   * @param module full name of the module
   * @throws dev.gptq.formats.BadInputException if programs for the format run no experts of that
   *     family
   */
  default Optional<Stacked> stacked(String modelType, String module) {
    return Optional.empty();
  }

  /** What the names of a module's tensors end in, the bias excepted. */
  ImmutableList<String> parts();

  /** What {@code config.json} says about the quantization. */
  ObjectNode settings(QuantizedModel model);

  /**
   * Puts the settings into {@code config.json}, and there whatever else loaders of the format ask
   * for.
   */
  default void complete(ObjectNode config, ObjectNode settings) {
    config.set(Formats.KEY, settings);
  }

  /** What the header of each safetensors file calls the maker's framework. */
  default String framework() {
    return "pt";
  }

  /** The file that repeats the settings, if the format has one. */
  Optional<String> settingsFile();

  /** Names of all files beside {@code config.json} in which formats of the kind keep settings. */
  ImmutableSet<String> ownFiles();
}
