// Files that people choose or drop: folders opened, kinds known by their endings.

const ALIASES: Record<string, string> = { htm: 'html', xhtml: 'html', markdown: 'md', text: 'txt', log: 'txt', tsv: 'csv' }

function ending(name: string): string {
  const found = /\.([a-z][a-z0-9]{0,9})$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return ALIASES[found] ?? found
}

/** False only if the ending says that it is another kind; a name without one is looked at by the box. */
export function readable(name: string, formats: string[]): boolean {
  const kind = ending(name)
  return kind === '' || formats.includes(kind)
}

/** What a file chooser may offer: `.pdf,.docx,…`. */
export function acceptable(formats: string[]): string {
  const aliases = Object.keys(ALIASES).filter((alias) => formats.includes(ALIASES[alias] ?? ''))
  return [...formats, ...aliases].map((kind) => `.${kind}`).join(',')
}

/** PDF、DOCX、…: kinds as people read them. */
export function kinds(formats: string[], comma: string): string {
  const names: Record<string, string> = { md: 'Markdown' }
  return formats.map((kind) => names[kind] ?? kind.toUpperCase()).join(comma)
}

/** The short sign of a kind on its chip. */
export function sign(format: string, name: string): string {
  return (format || ending(name) || '–').toUpperCase().slice(0, 4)
}

export const hasFiles = (event: DragEvent) => !!event.dataTransfer?.types.includes('Files')

/** All files of a drop; folders are opened, hidden files left out. */
export async function filesOf(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry())
  if (entries.every((entry) => !entry?.isDirectory)) return [...transfer.files]
  const found = await Promise.all(entries.map((entry) => (entry ? inside(entry) : [])))
  return found.flat().filter(({ name }) => !name.startsWith('.'))
}

async function inside(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))]
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const children: FileSystemEntry[] = []
  for (;;) {
    // a reader hands out at most a hundred at a time
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) break
    children.push(...some)
  }
  return (await Promise.all(children.map(inside))).flat()
}
