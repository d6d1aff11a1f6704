import sys, time, os, tempfile, random
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from tests.bench.client_vendor import start_vendor, MODEL
from tests.bench.client_pictures import make_png
from client.api import VendorClient, ImageInput, TextInput
side=int(sys.argv[1]); n=int(sys.argv[2])
def cpu(pid):
    f=open(f"/proc/{pid}/stat").read().rsplit(")",1)[1].split()
    return (int(f[11])+int(f[12]))/os.sysconf("SC_CLK_TCK")
pics=[make_png(i,side) for i in range(n)]
texts=[f"a photo of a thing number {i} in the {i%7} style" for i in range(n)]
for kind in ("image","text"):
  per=64 if kind=="image" else 256
  items=[ImageInput(p) for p in pics] if kind=="image" else [TextInput(t) for t in texts]
  for rnd in range(3):
   for wire in ("json","frames"):
    with tempfile.TemporaryDirectory() as t, start_vendor(Path(t)/"v") as v:
        with VendorClient(api_key=v.key, base_url=v.url) as c:
            c.embeddings.create(input=[items[0]], model=MODEL, wire=wire, embed_dtype="float16")
            a=cpu(v.pid); b=time.process_time(); w=time.perf_counter()
            def one(i):
                r=c.embeddings.create(input=items[i:i+per], model=MODEL, wire=wire, embed_dtype="float16")
                assert all(x.embedding is not None for x in r.data)
            with ThreadPoolExecutor(3) as ex: list(ex.map(one, range(0,n,per)))
            w=time.perf_counter()-w
            print(kind, wire, f"client {1e6*(time.process_time()-b)/n:.0f} us/item vendor {1e6*(cpu(v.pid)-a)/n:.0f} us/item wall {n/w:.0f}/s", flush=True)
