/** What this browser keeps of the page: tables of IndexedDB that outlive a reload. */

const TABLES = ["shots", "queries", "results", "sources", "settings"];
const VERSION = 2; // of what rows look like
const RELOAD_MS = 10_000; // until this tab's page before has ended

/**
 * @param {string} name of the database
 * @returns {Promise<?Kept>} null where this browser keeps nothing, or keeps it for another tab
 */
export async function openKept(name) {
  if (!(await isAlone(name))) return null;
  const request = indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => begin(request.result);
  return settled(request).then((database) => new Kept(database), () => null);
}

/** Whether no other tab has this name's work; a page without TLS is not told, and takes it that none has. */
function isAlone(name) {
  if (!navigator.locks) return true;
  const isReload = sessionStorage.getItem(name) !== null;
  const patience = isReload ? { signal: AbortSignal.timeout(RELOAD_MS) } : { ifAvailable: true };
  return new Promise((resolve) => {
    const hold = (lock) => {
      resolve(lock !== null);
      if (!lock) return undefined;
      sessionStorage.setItem(name, "kept by this tab");
      return new Promise(() => {}); // held until the page ends
    };
    navigator.locks.request(name, patience, hold).catch(() => resolve(false));
  });
}

/** What an older page kept in other rows is left. */
function begin(database) {
  for (const table of database.objectStoreNames) database.deleteObjectStore(table);
  for (const table of TABLES) database.createObjectStore(table);
}

class Kept {
  constructor(database) {
    this.database = database;
  }

  /** @returns {Promise<Map<string, any>>} a table's values by their keys */
  async all(table) {
    const store = this.database.transaction(table).objectStore(table);
    const [keys, values] = await Promise.all([settled(store.getAllKeys()), settled(store.getAll())]);
    return new Map(keys.map((key, index) => [key, values[index]]));
  }

  put(table, key, value) {
    return settled(this.#writable(table).put(value, key));
  }

  remove(table, key) {
    return settled(this.#writable(table).delete(key));
  }

  #writable(table) {
    return this.database.transaction(table, "readwrite").objectStore(table);
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
