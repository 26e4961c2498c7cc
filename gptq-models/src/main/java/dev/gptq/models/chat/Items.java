package dev.gptq.models.chat;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.objects.collections.PyMap;
import java.util.Set;

/** The filter {@code items}: the pairs of keys and values of a mapping, nothing of what is none. */
final class Items implements Filter {
  @Override
  public String getName() {
    return "items";
  }

  @Override
  public Object filter(Object value, JinjavaInterpreter interpreter, String... arguments) {
    return value instanceof PyMap map ? map.items() : Set.of();
  }
}
