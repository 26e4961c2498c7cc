package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufWriter;
import dev.gptq.formats.gguf.ImportanceFile;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufPlace;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.pipeline.Importance;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;

/** Importance matrices of llama.cpp for the modules of a model. */
public final class ImportanceMatrix {
  private final Model model;
  private final GgufModel description;

  /** The means and counts of a tensor of the file, expert by expert. */
  private final Map<String, TreeMap<Integer, Importance.Columns>> found = new TreeMap<>();

  /** An empty one; throws if the model's tensors have no names in a GGUF file. */
  public ImportanceMatrix(Model model) {
    this.model = model;
    this.description = GgufModel.of(model);
  }

  /**
   * What a file says of the selected modules of a model.
   *
   * @throws BadInputException if it lacks one of them, or has another number of columns
   */
  public static Importance read(Path file, Model model, Predicate<String> selection)
      throws IOException {
    ImmutableMap<String, ImportanceFile.Entry> entries = ImportanceFile.read(file);
    GgufModel description = GgufModel.of(model);
    ImmutableMap.Builder<String, Importance.Columns> modules = ImmutableMap.builder();
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear :
          block.linears().filter(l -> selection.test(block.nameOf(l))).toList()) {
        String name = block.nameOf(linear);
        GgufPlace place =
            description
                .place(name + ".weight")
                .orElseThrow(() -> new BadInputException(name + " has no place in a GGUF file"));
        ImportanceFile.Entry entry = entries.get(place.name());
        int expert = Math.max(0, place.expert());
        if (entry == null) {
          throw new BadInputException(
              "%s has no entry '%s' for %s; make it of the same model"
                  .formatted(file, place.name(), name));
        }
        long held = (long) linear.inputs() * (expert + 1);
        boolean fits =
            entry.means().length % linear.inputs() == 0
                && held <= entry.means().length
                && (place.expert() >= 0 || held == entry.means().length);
        if (!fits) {
          throw new BadInputException(
              "%s: '%s' has %d numbers, and %s has %d inputs; make it of the same model"
                  .formatted(file, place.name(), entry.means().length, name, linear.inputs()));
        }
        modules.put(
            name,
            new Importance.Columns(entry.means(linear.inputs(), expert), entry.tokens(expert)));
      }
    }
    return new Importance(modules.buildOrThrow());
  }

  /** Takes the diagonal of the Hessian of a group's input. */
  public void add(int block, Step.Linears group, Hessian hessian) {
    float[] means = hessian.meanSquares();
    BlockSpec spec = model.spec().blocks().get(block);
    for (LinearSpec linear : group.modules()) {
      description
          .place(spec.nameOf(linear) + ".weight")
          .ifPresent(place ->
              found
                  .computeIfAbsent(place.name(), _ -> new TreeMap<>())
                  .put(
                      Math.max(0, place.expert()),
                      new Importance.Columns(means, hessian.tokens())));
    }
  }

  /** Throws if it could not be written. */
  public static void check(Model model, Path file, boolean overwrite) throws IOException {
    GgufModel.of(model);
    GgufWriter.requireReplaceable(file, overwrite);
  }

  /**
   * Writes what was taken. An expert that no token reached has zeros.
   *
   * @param window tokens of a window
   */
  public void write(Path file, int window, boolean overwrite) throws IOException {
    Map<String, ImportanceFile.Entry> entries = new TreeMap<>();
    found.forEach((name, experts) -> {
      int columns = experts.firstEntry().getValue().means().length;
      int count = experts.lastKey() + 1;
      float[] means = new float[columns * count];
      float[] tokens = new float[count];
      experts.forEach((expert, known) -> {
        System.arraycopy(known.means(), 0, means, columns * expert, columns);
        tokens[expert] = known.tokens();
      });
      entries.put(name, new ImportanceFile.Entry(means, tokens));
    });
    ImportanceFile.write(file, entries, window, overwrite);
  }
}
