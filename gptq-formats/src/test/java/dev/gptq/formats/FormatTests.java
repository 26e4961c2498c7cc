package dev.gptq.formats;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.IntBinaryOperator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** What tests of several formats need: small modules, their checkpoints, hashes of matrices. */
public final class FormatTests {
  /** A module's name. */
  public static final String MODULE = "model.layers.0.mlp.up_proj";

  private FormatTests() {}

  /** A matrix of one group a row. */
  public static PackedMatrix matrix(
      Scheme scheme,
      int bits,
      int rows,
      int columns,
      IntBinaryOperator code,
      float scale,
      float... zeros) {
    MemorySegment words = MemorySegment.ofArray(new int[BitStream.words(columns, bits) * rows]);
    for (int o = 0; o < rows; o++) {
      for (int i = 0; i < columns; i++) {
        BitStream.put(words, rows, o, i, bits, code.applyAsInt(o, i));
      }
    }
    float[] scales = new float[rows];
    Arrays.fill(scales, scale);
    return new PackedMatrix(
        scheme,
        bits,
        rows,
        columns,
        1,
        words,
        MemorySegment.ofArray(scales),
        scheme.hasZeroPoint() ? Optional.of(MemorySegment.ofArray(zeros)) : Optional.empty(),
        Optional.empty());
  }

  /** The module of a matrix. */
  public static PackedModule module(PackedMatrix matrix, StoredType modelType) {
    return module(MODULE, matrix, modelType);
  }

  /** A module of a name whose settings are those that the matrix shows. */
  public static PackedModule module(String name, PackedMatrix matrix, StoredType modelType) {
    return new PackedModule(
        name, matrix, ModuleSettings.of(matrix), Optional.empty(), modelType, Path.of("memory"));
  }

  /** A model of one such module. */
  public static QuantizedModel model(PackedMatrix matrix) {
    return new QuantizedModel(
        ModuleSettings.of(matrix),
        ImmutableMap.of(MODULE, ModuleSettings.of(matrix)),
        ImmutableList.of("lm_head"),
        ImmutableMap.of(),
        ImmutableMap.of());
  }

  /** The tensor of a module with that last part of its name. */
  public static StoredTensor tensor(List<StoredTensor> tensors, String suffix) {
    return tensors.stream()
        .filter(t -> t.name().equals(MODULE + "." + suffix))
        .findFirst()
        .orElseThrow();
  }

  /** The words of a tensor. */
  public static String hex(StoredTensor tensor) {
    List<String> words = new ArrayList<>();
    for (long i = 0; i < tensor.elements(); i++) {
      words.add("%08X".formatted(tensor.data().getAtIndex(Elements.INT, i)));
    }
    return String.join(" ", words);
  }

  /** Writes the checkpoint of one module. */
  public static Path write(Format format, PackedMatrix matrix, StoredType modelType, Path folder)
      throws IOException {
    ObjectNode config = JsonMapper.shared().createObjectNode();
    format.complete(config, format.settings(model(matrix)));
    try (CheckpointWriter writer =
        CheckpointWriter.create(folder, WriterOptions.DEFAULT.withOverwrite(true))) {
      writer.addAll(format.encode(module(matrix, modelType)));
      writer.writeFile("config.json", config.toString().getBytes(StandardCharsets.UTF_8));
      writer.commit();
    }
    return folder;
  }

  /** The packed modules of a folder. */
  public static PackedModules open(Path folder, Checkpoint checkpoint) throws IOException {
    return Formats.open(JsonConfig.read(folder.resolve("config.json")), folder, checkpoint)
        .orElseThrow();
  }

  /** What {@code golden/formats/truth.json} says of an output. */
  public static JsonNode truth(String output) throws IOException {
    Path golden = SharedFiles.require("golden/formats");
    return JsonConfig.read(golden.resolve("truth.json")).json().get(output).get("tensors");
  }

  /** One weight of a matrix. */
  @FunctionalInterface
  public interface Weight {
    /** The weight of output o and input i. */
    float of(int o, int i);
  }

  /** The hash under which {@code truth.json} knows a matrix. */
  public static String hash(PackedMatrix matrix, Weight weight) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (int o = 0; o < matrix.rows(); o++) {
      for (int i = 0; i < matrix.columns(); i++) {
        hasher.putInt(Float.floatToRawIntBits(weight.of(o, i)));
      }
    }
    return hasher.hash().toString();
  }
}
