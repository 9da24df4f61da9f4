"Sing or hum, and a trumpet plays it. What is defined here imports PyTorch when it is called, not before."

__version__ = "0.1.0"
__all__ = ['transfer', 'transfer_many']

def transfer(*args, **options):
    "Turn a voice into a trumpet: `vox2trumpet.app.transfer`, where its parameters are explained."
    from .app import transfer
    return transfer(*args, **options)

def transfer_many(*args, **options):
    "Turn many voices into trumpets: `vox2trumpet.batch.transfer_many`, where its parameters are explained."
    from .batch import transfer_many
    return transfer_many(*args, **options)
