// Where a model has its page; ids of models on other machines have a slash.
export const modelPage = (id: string) => `/operate/models/${encodeURIComponent(id)}`
