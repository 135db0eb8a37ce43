"""Language models and sample recordings that come with Malsori (installed as `malsori_data`)."""
