package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.models.Model;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The programs that people run quantized models with, and what they refuse. Of all but SGLang,
 * whose sources say it, this was seen with the programs themselves; {@code docs/format.md} has the
 * table and the releases, and {@code interop/check.sh} looks again.
 */
public enum Server {
  /** vLLM. */
  VLLM("vLLM", "gptq", "gptq_v2", "compressed-tensors", "awq") {
    // Where its gptq and the model's own code do not go together.
    private static final ImmutableSet<String> NOT_AS_GPTQ =
        ImmutableSet.of("falcon_h1", "glm4", "granitemoehybrid", "minicpm3", "stablelm");

    // Names of whose experts it does not look for.
    private static final ImmutableSet<String> WITHOUT_EXPERTS =
        ImmutableSet.of("granitemoe", "granitemoehybrid", "granitemoeshared");

    @Override
    Optional<String> refusalOf(String format, Served what) {
      if (what.type().equals("bloom")) {
        return Optional.of("refuses quantized models of type bloom");
      }
      if (what.type().equals("ministral3")) {
        // It looks for the factor in Mistral's own configuration only.
        return Optional.of(
            "does not let queries grow, which Ministral 3 does in texts longer than"
                + " original_max_position_embeddings");
      }
      if (what.experts() && WITHOUT_EXPERTS.contains(what.type())) {
        return Optional.of("leaves out quantized experts of Granite without a word");
      }
      if (format.startsWith("gptq") && NOT_AS_GPTQ.contains(what.type())) {
        return Optional.of("refuses models of type %s as gptq".formatted(what.type()));
      }
      if (format.startsWith("gptq") && what.partialExperts()) {
        return Optional.of("refuses gptq of mixtures of which experts were left out");
      }
      if (what.split()) {
        return Optional.of("refuses layers that it fuses of which only parts are quantized");
      }
      if (format.startsWith("gptq") && !what.all(s -> s.sym() && whole(s))) {
        return Optional.of("refuses gptq but for 4 and 8 bits, symmetric");
      }
      if (format.startsWith("gptq") && !what.all(s -> !s.descAct() || s.groupSize() == -1)) {
        return Optional.of("refuses scattered groups");
      }
      if (!format.equals("compressed-tensors") || what.all(s -> s.sym() || s.bits() == 4)) {
        return Optional.empty();
      }
      return Optional.of("refuses asymmetric grids of 8 bits but on Hopper GPUs");
    }

    @Override
    String command(String name, String file) {
      return "vllm serve " + name;
    }
  },
  /** SGLang. */
  SGLANG("SGLang", "gptq", "compressed-tensors", "awq") {
    @Override
    Optional<String> refusalOf(String format, Served what) {
      return format.equals("compressed-tensors") && !what.all(Server::whole)
          ? Optional.of("refuses other widths than 4 and 8 bits")
          : Optional.empty();
    }

    @Override
    String command(String name, String file) {
      return "python -m sglang.launch_server --model-path " + name;
    }
  },
  /** Transformers of Hugging Face. */
  TRANSFORMERS("transformers", "gptq", "gptq_v2", "compressed-tensors", "awq") {
    // Their layers are of classes of their own, and not those that it replaces.
    private static final String TRANSPOSED = "gpt2";
    private static final String OWN_LAYERS = "falcon";

    @Override
    Optional<String> refusalOf(String format, Served what) {
      if (format.equals("compressed-tensors")) {
        if (what.partialExperts()) {
          return Optional.of("refuses mixtures of which experts were left out");
        }
        if (what.type().equals(TRANSPOSED)) {
          return Optional.of("leaves out quantized layers of GPT-2, with a warning only");
        }
        if (what.type().equals(OWN_LAYERS)) {
          return Optional.of("refuses models of type falcon as compressed-tensors");
        }
        return what.all(ModuleSettings::sym)
            ? Optional.empty()
            : Optional.of("refuses asymmetric grids");
      }
      if (losesSilently(format, what)) {
        return Optional.of(
            "leaves out quantized "
                + (what.experts() ? "experts" : "layers of Falcon")
                + ", with a warning only");
      }
      if (format.startsWith("gptq") && what.type().equals(TRANSPOSED)) {
        return Optional.of("refuses models of type gpt2 as gptq");
      }
      return what.mixed()
          ? Optional.of("refuses modules of several settings as gptq")
          : Optional.empty();
    }

    @Override
    public boolean losesSilently(String format, Served what) {
      return reads(format)
          && !format.equals("compressed-tensors")
          && (what.experts() || (format.startsWith("gptq") && what.type().equals(OWN_LAYERS)));
    }

    @Override
    String command(String name, String file) {
      return "AutoModelForCausalLM.from_pretrained(\"" + name + "\")";
    }
  },
  /** GPTQModel. */
  GPTQMODEL("GPTQModel", "gptq", "gptq_v2") {
    private static final ImmutableSet<String> OTHER_NAMES =
        ImmutableSet.of("glm4", "glm4_moe", "mixtral", "phi3");

    @Override
    Optional<String> refusalOf(String format, Served what) {
      if (what.type().equals("gpt_neox")) {
        // Its embed_out, which transformers calls lm_head by now.
        return Optional.of("leaves out the output layer of GPT-NeoX, with a warning only");
      }
      return OTHER_NAMES.contains(what.type())
          ? Optional.of("refuses models of type " + what.type())
          : Optional.empty();
    }

    @Override
    String command(String name, String file) {
      return "GPTQModel.load(\"" + name + "\")";
    }
  },
  /** The runner for Apple's machines. */
  MLX_LM("mlx-lm", "mlx") {
    private static final ImmutableSet<String> UNKNOWN =
        ImmutableSet.of(
            "arcee",
            "bloom",
            "cohere2_moe",
            "cwm",
            "falcon",
            "gpt2",
            "granitemoeshared",
            "hunyuan_v1_moe",
            "hyperclovax",
            "ministral",
            "olmo",
            "opt",
            "youtu");

    @Override
    Optional<String> refusalOf(String format, Served what) {
      return UNKNOWN.contains(what.type())
          ? Optional.of("refuses models of type " + what.type())
          : MlxWindows.refusal(what);
    }

    @Override
    public boolean runsOn(Machine machine) {
      return machine.kind() == Machine.Kind.APPLE;
    }

    @Override
    String command(String name, String file) {
      return "mlx_lm.generate --model " + name + " --prompt \"...\"";
    }
  },
  /** The runner of GGUF files. */
  LLAMA_CPP("llama.cpp", "gguf") {
    @Override
    public boolean runsOn(Machine machine) {
      return true;
    }

    @Override
    String command(String name, String file) {
      return "llama-server -m " + file;
    }
  };

  private final String title;
  private final ImmutableSet<String> formats;

  Server(String title, String... formats) {
    this.title = title;
    this.formats = ImmutableSet.copyOf(formats);
  }

  /** What it is called. */
  public String title() {
    return title;
  }

  /** Whether it makes use of what such a machine has: its fastest memory. */
  public boolean runsOn(Machine machine) {
    return machine.kind() == Machine.Kind.NVIDIA;
  }

  boolean reads(String format) {
    return formats.contains(format);
  }

  /**
   * What it does with such a model in place of running it, as words behind its name; empty for a
   * program that runs all models of its formats.
   */
  Optional<String> refusalOf(String format, Served what) {
    return Optional.empty();
  }

  /** Whether it goes on without some of the weights, which is worse than a refusal. */
  public boolean losesSilently(String format, Served what) {
    return false;
  }

  /** How a model of that name, or its GGUF file, is run. */
  abstract String command(String name, String file);

  /** The programs for a format that run a model of it. */
  public static ImmutableList<Server> running(String format, Served what) {
    return Arrays.stream(values())
        .filter(server -> server.reads(format) && server.refusalOf(format, what).isEmpty())
        .collect(ImmutableList.toImmutableList());
  }

  /** The programs that run a model as it lies on the disk; none are known of full precision. */
  public static ImmutableList<Server> running(Model model) {
    if (Files.isRegularFile(model.path())) {
      return running("gguf", Served.of(model));
    }
    return model
        .quantization()
        .map(modules -> running(modules.format().id(), Served.of(model)))
        .orElse(ImmutableList.of());
  }

  /** A note on what programs for a format refuse of a model, if any of them refuses it. */
  public static Optional<String> refusals(String format, Served what) {
    List<String> sentences = new ArrayList<>();
    for (Server server : values()) {
      if (server.reads(format)) {
        server
            .refusalOf(format, what)
            .ifPresent(refusal -> sentences.add(server.title + " " + refusal));
      }
    }
    return Optional.of("format " + format + ": " + String.join("; ", sentences))
        .filter(note -> !sentences.isEmpty());
  }

  private static boolean whole(ModuleSettings settings) {
    return settings.bits() == 4 || settings.bits() == 8;
  }
}
