/// <reference types="svelte" />
/// <reference types="vite/client" />

// One room's sentences of a catalogue; see vite.config.ts. A pattern may hold one `*` only, so each room has its own.
declare module '*.json?room=play' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=me' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=operate' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=machine' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=audit' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=web' {
  const sentences: Record<string, string>
  export default sentences
}
declare module '*.json?room=status' {
  const sentences: Record<string, string>
  export default sentences
}
